"""A whole installation in processes: PostgreSQL, Ray, two APIs, two schedulers, kept alive.

Whatever ends is started again, as a supervisor would (``restart: unless-stopped``).
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from service.settings import Settings
from service.storage import Storage, open_storage
from service.storage.engine.migrate import migrate
from service.storage.tables import Base
from tests.postgres import OwnServer, free_port

_SECONDS_BEFORE_RESTART = 0.5
_RAY = (sys.executable, "-m", "ray.scripts.scripts", "start", "--disable-usage-stats", "--block")
_LITTLE = "--object-store-memory=104857600"


class Kept:
    """A process that is started again whenever it ends."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self._command, self._environment, self._log = command, environment, log
        self._over = threading.Event()
        self._process = self._start()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """Kill it: it has got used to that."""
        self._over.set()
        for pid in [*descendants(self.pid), self.pid]:
            kill(pid)
        self._keeper.join()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as output:
            return subprocess.Popen(
                self._command, env=self._environment, stdout=output, stderr=subprocess.STDOUT
            )

    def _keep(self) -> None:
        while True:
            self._process.wait()
            if self._over.wait(_SECONDS_BEFORE_RESTART):
                return
            self._process = self._start()


class FaultHarness:
    """The installation.

    Attributes:
        storage: its database, to look at from outside.
        postgres: its server.
        apis, schedulers: their processes.
        head, node: the Ray cluster; the node trains.
    """

    def __init__(self, folder: Path, postgres: OwnServer, stack: ExitStack) -> None:
        self.postgres = postgres
        settings = Settings(data_dir=folder / "work", database_url=postgres.url)
        self.storage: Storage = open_storage(settings, max_wait=120)
        stack.callback(self.storage.database.close)
        migrate(self.storage.database)
        short = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)
        )
        address = f"127.0.0.1:{free_port()}"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HAMTUNE_", "RAY_"))}
        environment = {
            **kept,
            "HAMTUNE_DATA_DIR": str(folder / "work"),
            "HAMTUNE_DATABASE_URL": postgres.url,
            "HAMTUNE_LOG_FORMAT": "json",
            "HAMTUNE_LEASE_SECONDS": "6",
            "HAMTUNE_MAX_ATTEMPTS": "1000",  # none of these faults is the study's
            "RAY_ADDRESS": address,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_TMPDIR": short,
            "RAY_gcs_rpc_server_reconnect_timeout_s": "10",  # who lost the head ends soon
            "RAY_raylet_start_wait_time_s": "240",  # on a busy machine
        }

        def keep(name: str, *command: str) -> Kept:
            process = Kept(command, environment, folder / f"{name}.log")
            stack.callback(process.stop)
            return process

        port = address.rpartition(":")[2]
        self.head = keep("head", *_RAY, "--head", f"--port={port}", "--num-cpus=0", _LITTLE)
        wait_for(lambda: ray_answers(address, environment), 300)
        self.node = keep("node", *_RAY, f"--address={address}", "--num-cpus=2", _LITTLE)
        ports = [free_port() for _ in range(2)]
        serve = (sys.executable, "-m", "service.cli", "serve", "--no-scheduler", "--port")
        self.apis = [keep(f"api-{port}", *serve, str(port)) for port in ports]
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        worker = (sys.executable, "-m", "service.workers")
        self.schedulers = [keep(f"scheduler-{number}", *worker) for number in range(2)]
        for url in self.urls:
            wait_for(partial(answers, url), 300)

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Ask one API after the other until one answers well."""
        deadline = time.monotonic() + 120
        for turn in range(10_000):
            url = self.urls[turn % len(self.urls)]
            try:
                answer = httpx2.request(method, url + path, timeout=10, **options)
            except httpx2.TransportError:
                pass
            else:
                if answer.status_code < 500:
                    return answer
            assert time.monotonic() < deadline, f"nobody answers {method} {path}"
            time.sleep(0.2)
        raise AssertionError

    def forget(self) -> None:
        """Remove all rows of ours: nothing of one round may inform the next."""
        with self.storage.database.write() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(table.delete())

    def runner(self) -> int | None:
        """Return a process that runs a study, if there is one."""
        family = [pid for scheduler in self.schedulers for pid in descendants(scheduler.pid)]
        return first(family, "service.workers.scheduler.runner")

    def trainer(self) -> int | None:
        """Return a Ray worker that trains or may soon, if there is one.

        Not Ray's own agents: ``ray start --block`` goes on without its raylet when one is killed.
        """
        return first(descendants(self.node.pid), "ray::Trainer")

    def gcs(self) -> int | None:
        """Return the heart of the Ray head."""
        return first(descendants(self.head.pid), "gcs_server")


@contextmanager
def running_installation(folder: Path, postgres: OwnServer) -> Iterator[FaultHarness]:
    """Start all the rest of it; stop and remove it after."""
    with ExitStack() as stack:
        yield FaultHarness(folder, postgres, stack)


def kill(pid: int) -> bool:
    """Kill -9; tell whether it was there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def descendants(pid: int) -> list[int]:
    """Return the children of a process, and theirs, from /proc."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    family, waiting = [], [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        family += children
        waiting += children
    return family


def first(pids: Sequence[int], words: str) -> int | None:
    """Return the first process whose command line has these words."""
    for pid in pids:
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if words in line:
            return pid
    return None


def answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def ray_answers(address: str, environment: dict[str, str]) -> bool:
    command = [*_RAY[:3], "health-check", "--address", address]
    return subprocess.run(command, env=environment, capture_output=True).returncode == 0


def wait_for(done: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not done within {seconds} s"
        time.sleep(0.2)
