"""Rates and latencies of the service with a million runs, beside a bare FastAPI route.

``python -m benchmarks.service_load`` makes two databases on a PostgreSQL server, with ten thousand
and with a million runs (``benchmarks/benchmark_database.py``). It starts ``hamtune serve`` on each
and a bare FastAPI application, all on one core, and sends requests to them in turn, in short
slices, from the other core. So compared numbers are measured within seconds of each other. It
prints a table and drops the databases; ``--keep`` keeps them for the next time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from statistics import median
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

import psycopg

from benchmarks import benchmark_database
from benchmarks.http_load import Load, ask, get, post
from service.settings import Settings
from service.storage import Storage, open_storage
from service.storage.engine.migrate import migrate

LOCAL = "postgresql://postgres@127.0.0.1:5432/postgres"
SIZES = {"10k": 10_000, "1M": 1_000_000}
COMBINATIONS = 1_000
QUEUED = 100_000
CONNECTIONS = 32
READERS = 4
"""Connections that ask for a list at the same time."""
LOAD_CORE, SERVER_CORE = 0, 1
BARE = """
from fastapi import FastAPI
app = FastAPI()
@app.get("/bare")
async def bare():
    return {"alpha": 1.0, "beta": 0.1}
import os, uvicorn
uvicorn.run(app, port=int(os.environ["HAMTUNE_PORT"]), log_level="warning", access_log=False)
"""


@dataclass
class Server:
    """A server process, pinned to its core."""

    name: str
    process: subprocess.Popen[bytes]
    port: int

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process so far, in seconds."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Measured:
    """Measurements of one server with one kind of request."""

    load: Load = field(default_factory=Load)
    cpu_seconds: float = 0.0

    @property
    def cpu_microseconds(self) -> float:
        """CPU time of the server process per answer, in microseconds."""
        return 1e6 * self.cpu_seconds / len(self.load.latencies)


def main() -> None:
    """Measure and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default=LOCAL, help="URL of a superuser of PostgreSQL")
    parser.add_argument("--slices", type=int, default=4, help="of a second, each")
    parser.add_argument("--keep", action="store_true", help="keep the databases")
    args = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    began = time.monotonic()
    databases = prepare(args.server)
    print(f"# databases ready after {time.monotonic() - began:.0f} s", flush=True)
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            bare = stack.enter_context(started("bare", BARE_COMMAND, folder, 8790))
            services = [
                stack.enter_context(
                    started(size, SERVICE_COMMAND, folder, 8791 + index, databases[size])
                )
                for index, size in enumerate(SIZES)
            ]
            lookups(bare, services, args.slices)
            lists(services, databases, args.slices)
            submissions(services)
        for size in SIZES:
            claims(size, databases[size])
    finally:
        if not args.keep:
            drop(args.server)
    print(f"# {time.monotonic() - began:.0f} s in all; load average {os.getloadavg()}")


def prepare(server: str) -> dict[str, str]:
    """Make the databases that do not exist; return their URLs by size."""
    played = "hamtune_load_played"
    urls = {size: _database(server, f"hamtune_load_{size.lower()}") for size in SIZES}
    with psycopg.connect(server, autocommit=True) as connection:
        there = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
        if missing := [size for size in SIZES if _name(urls[size]) not in there]:
            connection.execute(f"DROP DATABASE IF EXISTS {played} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {played}")
            with opened(_database(server, played)) as storage:
                benchmark_database.play(storage)
            for size in missing:
                connection.execute(f"CREATE DATABASE {_name(urls[size])} TEMPLATE {played}")
                benchmark_database.copy(urls[size], COMBINATIONS, SIZES[size])
            connection.execute(f"DROP DATABASE {played}")
    return urls


def drop(server: str) -> None:
    """Drop the databases."""
    with psycopg.connect(server, autocommit=True) as connection:
        for size in SIZES:
            connection.execute(f"DROP DATABASE IF EXISTS hamtune_load_{size} WITH (FORCE)")


def _database(server: str, name: str) -> str:
    return urlsplit(server)._replace(path=f"/{name}").geturl()


def _name(url: str) -> str:
    return urlsplit(url).path.strip("/")


@contextmanager
def opened(url: str) -> Iterator[Storage]:
    """Open the storage of a database, with its tables."""
    storage = open_storage(Settings(database_url=url))
    migrate(storage.database)
    yield storage
    storage.database.close()


BARE_COMMAND = ("-c", BARE)
SERVICE_COMMAND = ("-m", "service.cli", "serve", "--no-scheduler")


@contextmanager
def started(
    name: str, command: Sequence[str], folder: Path, port: int, database: str | None = None
) -> Iterator[Server]:
    """Start a server on its core with its usual command, and wait until it answers."""
    environment = {**os.environ, "HAMTUNE_PORT": str(port), "HAMTUNE_DATA_DIR": f"{folder}/{port}"}
    if database is not None:
        environment["HAMTUNE_DATABASE_URL"] = database
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    os.sched_setaffinity(process.pid, {SERVER_CORE})
    try:
        _wait(port)
        yield Server(name, process, port)
    finally:
        process.terminate()
        process.wait()


def _wait(port: int) -> None:
    for _ in range(1200):
        try:
            urlopen(f"http://127.0.0.1:{port}/openapi.json").close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"nothing answers on port {port}")


def in_turn(
    asked: Mapping[str, tuple[Server, Iterator[bytes]]], connections: int, slices: int
) -> dict[str, Measured]:
    """Send requests to servers in turn, a second each; the first slice of each is not counted."""
    found = {name: Measured() for name in asked}
    for turn in range(slices + 1):
        for name, (server, requests) in asked.items():
            before = server.cpu_seconds()
            load = ask(server.port, requests, connections, 1.0)
            if turn > 0:
                found[name].load += load
                found[name].cpu_seconds += server.cpu_seconds() - before
    return found


def show(what: str, found: dict[str, Measured]) -> None:
    """Print one line per server, and a comparison of them."""
    for name, one in found.items():
        load = one.load
        print(
            f"{what:30} {name:5} {load.per_second:7.0f}/s  p50 {load.milliseconds(0.5):7.2f} ms  "
            f"p99 {load.milliseconds(0.99):7.2f} ms  cpu {one.cpu_microseconds:6.0f} us",
            flush=True,
        )
    small, large = found["10k"], found["1M"]
    growth = large.load.milliseconds(0.5) / small.load.milliseconds(0.5)
    print(f"{what:30} 1M / 10k: p50 x {growth:.2f}", end="")
    print(f", cpu x {large.cpu_microseconds / small.cpu_microseconds:.2f}", end="")
    if (bare := found.get("bare")) is not None:
        rate = large.load.per_second / bare.load.per_second
        cpu = bare.cpu_microseconds / large.cpu_microseconds
        print(f"; of the bare route's rate {rate:.0%}, by CPU time {cpu:.0%}", end="")
    print(flush=True)


def lookups(bare: Server, services: Sequence[Server], slices: int) -> None:
    """Look up every combination, beside the bare route. All answers are cached when it begins."""
    paths = [
        "/v1/recommendations?"
        + urlencode(
            {
                "model": one.model,
                "dataset": one.dataset,
                "sparsifier": one.sparsifier,
                "sparsity": one.sparsity,
            }
        )
        for one in benchmark_database.combinations(COMBINATIONS)
    ]
    asked: dict[str, tuple[Server, Iterator[bytes]]] = {"bare": (bare, cycle([get("/bare")]))}
    for server in services:
        asked[server.name] = (server, cycle(list(map(get, paths))))
        ask(server.port, asked[server.name][1], READERS, 10.0)
    show("lookup", in_turn(asked, CONNECTIONS, 3 * slices))


def lists(services: Sequence[Server], databases: dict[str, str], slices: int) -> None:
    """Request each list, and leaderboards."""
    newest = {size: _newest(databases[size]) for size in databases}
    for what in newest["1M"]:
        asked = {
            server.name: (server, cycle([get(newest[server.name][what])])) for server in services
        }
        show(what, in_turn(asked, READERS, slices))


def _newest(url: str) -> dict[str, str]:
    """Return the paths of the lists by name."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT study.id, combination.id, model, sparsifier, sparsity FROM study "
            "JOIN combination ON combination.id = combination_id WHERE state = 'succeeded' "
            "ORDER BY study.id DESC LIMIT 1"
        ).fetchone()
        assert row is not None
        study, combination, model, sparsifier, sparsity = row
        middle = connection.execute(
            "SELECT id FROM run ORDER BY id OFFSET (SELECT count(*) / 2 FROM run) LIMIT 1"
        ).fetchone()
        assert middle is not None
    one = urlencode(
        {"model": model, "dataset": "digits", "sparsifier": sparsifier, "sparsity": sparsity}
    )
    return {
        "leaderboards": "/v1/leaderboards",
        "studies": "/v1/studies",
        "studies of a state": "/v1/studies?state=failed",
        "studies of a model": f"/v1/studies?model={model}",
        "studies of a submitter": "/v1/studies?submitter=ada",
        "a study": f"/v1/studies/{study}",
        "runs": "/v1/runs",
        "runs, a page in the middle": f"/v1/runs?cursor={middle[0]}",
        "runs of a stage": "/v1/runs?purpose=confirmation",
        "failed runs": "/v1/runs?state=failed",
        "runs of a model": f"/v1/runs?model={model}",
        "failed runs of a method": f"/v1/runs?sparsifier={sparsifier}&state=failed",
        "runs of a combination": f"/v1/runs?{one}",
        "runs of a study": f"/v1/studies/{study}/runs",
        "history of a study": f"/v1/studies/{study}/history",
        "early stopping of a study": f"/v1/studies/{study}/early-stopping",
        "sweeps": "/v1/sweeps",
        "combinations": "/v1/combinations",
        "versions of a recommendation": f"/v1/combinations/{combination}/recommendations",
        "recommendations": "/v1/recommendations",
        "benchmarks": "/v1/benchmarks",
        "metrics": "/metrics",
    }


def submissions(services: Sequence[Server]) -> None:
    """Submit studies as fast as they are accepted."""
    body = b'{"model": "digits_cnn", "dataset": "digits", "sparsifier": "rigl", "sparsity": 0.9}'
    asked = {server.name: (server, cycle([post("/v1/studies", body)])) for server in services}
    show("submission", in_turn(asked, CONNECTIONS, 5))


def claims(size: str, url: str) -> None:
    """Claim studies from a short queue, then from a long one."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "DELETE FROM study_event WHERE study_id IN (SELECT id FROM study WHERE state='queued')"
        )
        connection.execute("DELETE FROM study WHERE state = 'queued'")
    for number in (1_000, QUEUED):
        benchmark_database.queue(url, number)
        with opened(url) as storage:
            took = []
            for _ in range(500):
                began = time.perf_counter()
                claimed = storage.queue.claim("benchmark", timedelta(minutes=5))
                took.append(time.perf_counter() - began)
                assert claimed is not None
                storage.queue.fail(claimed[1], "claimed by a benchmark")
        took.sort()
        print(
            f"{'claim from a queue of ' + str(number):30} {size:5} {1 / median(took):7.0f}/s  "
            f"p50 {1000 * median(took):7.2f} ms  p99 {1000 * took[-6]:7.2f} ms",
            flush=True,
        )


if __name__ == "__main__":
    main()
