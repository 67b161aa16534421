"""The fault harness: a whole installation in processes, each of which may be killed.

It runs PostgreSQL, a Ray cluster, two APIs and two scheduler processes. A process that ends is
started again after half a second, as a supervisor does (``restart: unless-stopped``).
"""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from service.settings import Settings
from service.storage import Storage, open_storage
from service.storage.engine.migrate import migrate
from service.storage.tables import Base
from service.workers.cluster.ray_compat import RAY_COMMAND
from tests.postgres import OwnServer, free_port
from tests.waiting import wait_until

SECONDS_TO_START = 300.0
_SECONDS_BEFORE_RESTART = 0.5
_RAY = (*RAY_COMMAND, "start", "--disable-usage-stats", "--block")
_SMALL_OBJECT_STORE = "--object-store-memory=104857600"


class SupervisedProcess:
    """A process that is started again whenever it ends."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self._command, self._environment, self._log = command, environment, log
        self._over = threading.Event()
        self._process = self._start()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self._supervisor.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """Kill the process and its descendants for good."""
        self._over.set()
        while self._supervisor.is_alive():  # it may have started the process again just now
            for pid in [*descendants(self.pid), self.pid]:
                kill(pid)
            self._supervisor.join(_SECONDS_BEFORE_RESTART)

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as output:
            return subprocess.Popen(
                self._command, env=self._environment, stdout=output, stderr=subprocess.STDOUT
            )

    def _supervise(self) -> None:
        while True:
            self._process.wait()
            if self._over.wait(_SECONDS_BEFORE_RESTART):
                return
            self._process = self._start()


class FaultHarness:
    """The running installation.

    Attributes:
        storage: its database, opened by the test.
        postgres: its database server.
        apis, schedulers: processes of the APIs and the study schedulers.
        urls: addresses of the APIs.
        head, node: processes of the Ray cluster; only the node trains.
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
            "HAMTUNE_MAX_ATTEMPTS": "1000",  # no fault here is the study's
            "RAY_ADDRESS": address,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_TMPDIR": short,
            "RAY_gcs_rpc_server_reconnect_timeout_s": "10",  # processes without a head end soon
            "RAY_raylet_start_wait_time_s": "240",  # on a busy machine
        }

        def keep(name: str, *command: str) -> SupervisedProcess:
            process = SupervisedProcess(command, environment, folder / f"{name}.log")
            stack.callback(process.stop)
            return process

        port = address.rpartition(":")[2]
        self.head = keep(
            "head", *_RAY, "--head", f"--port={port}", "--num-cpus=0", _SMALL_OBJECT_STORE
        )
        wait_until(lambda: ray_answers(address, environment), SECONDS_TO_START)
        self.node = keep(
            "node", *_RAY, f"--address={address}", "--num-cpus=2", _SMALL_OBJECT_STORE
        )
        ports = [free_port() for _ in range(2)]
        serve = (sys.executable, "-m", "service.cli", "serve", "--no-scheduler", "--port")
        self.apis = [keep(f"api-{port}", *serve, str(port)) for port in ports]
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        worker = (sys.executable, "-m", "service.workers")
        self.schedulers = [keep(f"scheduler-{number}", *worker) for number in range(2)]
        for url in self.urls:
            wait_until(partial(answers, url), SECONDS_TO_START)

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Ask the APIs in turns until one answers with a status below 500."""
        urls = itertools.cycle(self.urls)
        answered: list[httpx2.Response] = []

        def is_answered() -> bool:
            try:
                answer = httpx2.request(method, next(urls) + path, timeout=30, **options)
            except httpx2.TransportError:
                return False
            if answer.status_code < 500:
                answered.append(answer)
            return bool(answered)

        wait_until(is_answered, reason=lambda: f"no answer to {method} {path}")
        return answered[0]

    def forget(self) -> None:
        """Remove all rows of the service, so that no round learns from an earlier one."""
        with self.storage.database.write() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(table.delete())

    def runner(self) -> int | None:
        """Return the process id of a runner, if there is one."""
        pids = [pid for scheduler in self.schedulers for pid in descendants(scheduler.pid)]
        return first(pids, "service.workers.scheduler.runner")

    def trainer(self) -> int | None:
        """Return the process id of a training worker, if there is one.

        Ray's own agents are left out: if one is killed, ``ray start --block`` goes on without its
        raylet.
        """
        return first(descendants(self.node.pid), "ray::Trainer")

    def gcs(self) -> int | None:
        """Return the process id of the Ray head's control service."""
        return first(descendants(self.head.pid), "gcs_server")


@contextmanager
def running_installation(folder: Path, postgres: OwnServer) -> Iterator[FaultHarness]:
    """Run an installation on a PostgreSQL server until the context ends."""
    with ExitStack() as stack:
        yield FaultHarness(folder, postgres, stack)


def kill(pid: int) -> bool:
    """Send SIGKILL to a process; return whether it existed."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def descendants(pid: int) -> list[int]:
    """Return the ids of all descendants of a process, from /proc."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def first(pids: Sequence[int], words: str) -> int | None:
    """Return the first process whose command line contains these words."""
    for pid in pids:
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if words in line:
            return pid
    return None


def answers(url: str) -> bool:
    """Tell whether an API is ready."""
    try:
        return httpx2.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def ray_answers(address: str, environment: dict[str, str]) -> bool:
    """Tell whether the Ray head at an address is ready."""
    command = [*RAY_COMMAND, "health-check", "--address", address]
    return subprocess.run(command, env=environment, capture_output=True).returncode == 0
