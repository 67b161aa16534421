"""The scheduler as a child process of ``hamtune serve``, restarted when it dies."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from service.settings import Settings

logger = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "service.workers", "--die-with-parent")
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
HEALTHY_AFTER = 60.0
GRACE = 20.0


class SchedulerProcess:
    """Keeps one scheduler running until :meth:`stop`.

    Args:
        settings: passed to the scheduler through its environment.
        command: command line of the scheduler.
        first_pause: seconds before the first restart; doubled, up to 60 s, each time the
            scheduler dies within 60 s of its start.
    """

    def __init__(
        self,
        settings: Settings,
        command: Sequence[str] = COMMAND,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._command = command
        self._first_pause = first_pause
        self._environment = {**os.environ, **environment(settings)}
        self.log = settings.data_dir / "logs" / "scheduler.log"
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper = threading.Thread(target=self._keep, name="scheduler-keeper", daemon=True)

    def start(self) -> None:
        """Start the scheduler, and the thread that restarts it."""
        self._spawn()
        self._keeper.start()

    def stop(self) -> None:
        """Terminate the scheduler; kill its process group if it has not ended after 20 s."""
        self._stopping.set()
        self._keeper.join()
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _spawn(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with Path(self.log).open("ab") as log:
            # In its own session: Ctrl-C reaches only the service, which ends the scheduler.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    def _keep(self) -> None:
        pause, started = self._first_pause, time.monotonic()
        while not self._stopping.wait(0.2):
            assert self._process is not None
            code = self._process.poll()
            if code is None:
                continue
            if time.monotonic() - started > HEALTHY_AFTER:
                pause = self._first_pause
            logger.error(
                "the scheduler ended with code %s; it is restarted in %.0f s (see %s)",
                code,
                pause,
                self.log,
            )
            if self._stopping.wait(pause):
                return
            pause, started = min(2 * pause, LONGEST_PAUSE), time.monotonic()
            self._spawn()


def environment(settings: Settings) -> dict[str, str]:
    """Return environment variables from which a child process reads the same settings."""
    values = {name: value for name, value in settings if value is not None}
    names = {"ray_address": "RAY_ADDRESS"}
    return {
        names.get(name, f"HAMTUNE_{name.upper()}"): str(value) for name, value in values.items()
    }
