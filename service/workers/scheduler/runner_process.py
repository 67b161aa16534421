"""A runner as its scheduler process sees it: a child process that takes study assignments."""

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
        ray_address: address of the Ray cluster that the runner uses.
        log: file for its output before its first assignment.
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
        self._assignments, self._replies = self._process.stdin, self._process.stdout
        os.set_blocking(self._replies.fileno(), False)

    @property
    def status(self) -> int | None:
        """The runner's exit status; None while it lives."""
        return self._process.poll()

    def send(self, assignment: StudyAssignment) -> None:
        """Give the runner a study; a dead runner does not take it, and has a status."""
        with suppress(BrokenPipeError):
            self._assignments.write(assignment.model_dump_json().encode() + b"\n")
            self._assignments.flush()

    def has_ended_its_study(self) -> bool:
        """Return True once after the runner has ended its study well and is free for the next."""
        return DONE.encode() in (self._replies.read() or b"")

    def tell_to_stop(self) -> None:
        """Ask the runner to give its study back and end."""
        self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for the runner's end, and kill it after some seconds."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Close the pipes to a runner that has ended."""
        for pipe in (self._assignments, self._replies):
            with suppress(BrokenPipeError):
                pipe.close()
