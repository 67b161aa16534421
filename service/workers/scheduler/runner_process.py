"""A runner process as its scheduler sees it: it takes orders and says when it has done them."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from service.workers.scheduler.processes import DONE, StudyAssignment


class RunnerProcess:
    """Starts a runner.

    Args:
        ray_address: the cluster that it works on.
        log: where it writes before its first order.
    """

    def __init__(self, ray_address: str, log: Path) -> None:
        command = [sys.executable, "-m", "service.workers.scheduler.runner", ray_address]
        one_thread = {"OMP_NUM_THREADS": "1"}  # more would wait for cores that train
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                env=one_thread | os.environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._orders, self._replies = self._process.stdin, self._process.stdout
        os.set_blocking(self._replies.fileno(), False)

    @property
    def status(self) -> int | None:
        """Its exit status; None while it lives."""
        return self._process.poll()

    def send(self, order: StudyAssignment) -> None:
        """Give it a study to run; a dead one does not take it, and its status tells."""
        with suppress(BrokenPipeError):
            self._orders.write(order.model_dump_json().encode() + b"\n")
            self._orders.flush()

    def has_done_it(self) -> bool:
        """Tell once whether the order is done and the runner free for the next."""
        return DONE.encode() in (self._replies.read() or b"")

    def tell_to_stop(self) -> None:
        """Ask it to give its study back and end."""
        self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for its end, and force it after some seconds."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Close the pipes to a runner that has ended."""
        for pipe in (self._orders, self._replies):
            with suppress(BrokenPipeError):
                pipe.close()
