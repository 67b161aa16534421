"""The command as users run it: one process for each command, and a service of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.settings import Settings
from service.storage import Storage, open_storage
from service.storage.engine.migrate import migrate

Result = subprocess.CompletedProcess[str]
COMMAND = (sys.executable, "-m", "service.cli")


def run(*args: str, data_dir: Path, url: str | None = None, timeout: float = 240) -> Result:
    """Run ``hamtune`` and return its exit code and output."""
    return subprocess.run(
        [*COMMAND, *args],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(data_dir, url),
        stdin=subprocess.DEVNULL,
    )


def environment(data_dir: Path, url: str | None = None) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HAMTUNE_", "RAY_"))}
    named = {"HAMTUNE_URL": url} if url else {}
    return {**kept, "HAMTUNE_DATA_DIR": str(data_dir), **named}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Started(subprocess.Popen[str]):
    """A command that keeps running. It writes to a file: a full pipe would block it."""

    def __init__(self, *args: str, env: dict[str, str]) -> None:
        self._output = tempfile.TemporaryFile("a+")
        super().__init__(
            [*COMMAND, *args],
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=env,
            text=True,
            preexec_fn=_receive_interrupts,
        )

    def written(self) -> str:
        """Return the output so far."""
        self._output.seek(0)
        return self._output.read()

    def ended(self, timeout: float) -> tuple[int, str]:
        """Wait for the end; return exit code and output.

        A command that has not ended after ``timeout`` seconds is killed.
        """
        with self._output:
            try:
                return self.wait(timeout), self.written()
            except subprocess.TimeoutExpired:
                self.kill()
                self.wait()
                raise


def _receive_interrupts() -> None:
    """Receive SIGINT, which a shell makes background processes ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start_serving(data_dir: Path, port: int, **settings: str) -> Started:
    """Start ``hamtune serve`` without a scheduler, and wait until it has written its address."""
    env = environment(data_dir) | settings
    process = Started("serve", "--no-scheduler", "--port", str(port), env=env)
    deadline = time.monotonic() + 60
    while not (data_dir / "service.json").exists():
        assert process.poll() is None, process.written()
        assert time.monotonic() < deadline, "the service did not start within a minute"
        time.sleep(0.05)
    return process


def stop(process: Started, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
    """Send a signal to a command; return its exit code and output."""
    process.send_signal(how)
    return process.ended(timeout=30)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def storage(data_dir: Path) -> Iterator[Storage]:
    """The storage of the running service; a test acts as the scheduler through it."""
    storage = open_storage(Settings(data_dir=data_dir))
    migrate(storage.database)
    yield storage
    storage.database.close()


@pytest.fixture(scope="module")
def service(data_dir: Path, storage: Storage) -> Iterator[str]:
    """Address of a running service."""
    port = free_port()
    process = start_serving(data_dir, port)
    yield f"http://127.0.0.1:{port}"
    stop(process)


@pytest.fixture
def hamtune(service: str, data_dir: Path) -> Callable[..., Result]:
    """Run a command with the service's data folder, as a user on the same machine."""
    return lambda *args, **options: run(*args, data_dir=data_dir, **options)
