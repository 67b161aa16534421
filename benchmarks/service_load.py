"""Rates of the service under load: recommendation lookups beside a bare FastAPI route.

``python -m benchmarks.service_load --database postgresql://...`` (SQLite in a temporary folder if
left out). The server runs alone on one core, the load generator on another; rates are of whole
answers read, over 32 kept-alive connections. It needs an empty database.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from urllib.parse import quote

from ham.config import NO_HAM, Setting
from service.domain.plans import resolve
from service.records import Estimate, Evidence, Grade, NewRecommendation, StudyRequest
from service.settings import Settings
from service.storage import SqlStorage, open_storage
from service.storage.migrate import migrate

CONNECTIONS = 32
BARE = """
from fastapi import FastAPI
app = FastAPI()
@app.get("/bare")
async def bare():
    return {"alpha": 1.0, "beta": 0.1}
"""
SERVICE = """
from service.api.app import create_app
from service.settings import Settings
app = create_app(Settings())
"""


def main() -> None:
    """Measure and print a table, as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", help="postgresql://...; an empty database")
    parser.add_argument("--combinations", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0)
    args = parser.parse_args()
    os.sched_setaffinity(0, {0})
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), database_url=args.database)
        storage = open_storage(settings)
        migrate(storage.database)
        sparsities = fill(storage, args.combinations)
        lookups = [
            f"/v1/recommendations?model=digits_cnn&dataset=digits&sparsifier=rigl&sparsity={value}"
            for value in sparsities
        ]
        for name, program, paths in (
            ("bare FastAPI route", BARE, ["/bare"]),
            ("recommendation lookup", SERVICE, lookups),
        ):
            with serving(program, settings) as port:
                asyncio.run(load(port, paths, 1.0))  # warm up
                print(json.dumps({"route": name, **asyncio.run(load(port, paths, args.seconds))}))


def fill(storage: SqlStorage, combinations: int) -> list[float]:
    """Store a recommendation for each of so many sparsities and return these."""
    sparsities = [round((n + 1) / (combinations + 1), 6) for n in range(combinations)]
    for sparsity in sparsities:
        request = StudyRequest(
            model="digits_cnn", dataset="digits", sparsifier="rigl", sparsity=sparsity
        )
        storage.studies.submit(request, resolve(request))
        claimed = storage.queue.claim("benchmark", timedelta(minutes=5))
        assert claimed is not None
        storage.queue.succeed(claimed[1], a_recommendation())
    return sparsities


def a_recommendation() -> NewRecommendation:
    """Return one of the usual size: four settings on twenty seeds."""
    setting = Setting(alpha=20.0, beta=0.01)
    estimate = Estimate(mean=0.9, low=0.89, high=0.91, n=20)
    tests = {seed: 0.9 + seed / 1e4 for seed in range(20)}
    evidence = tuple(
        Evidence(
            role=role,
            setting=which,
            screening_validation_accuracy=estimate,
            test_accuracy=estimate,
            test_accuracies=tests,
            failed_runs=0,
            sparsity=0.9,
        )
        for role, which in (
            ("tuned", setting),
            ("no HAM", NO_HAM),
            ("paper", Setting(alpha=200.0, beta=1e-3)),
            ("finalist", Setting(alpha=10.0, beta=0.1)),
        )
    )
    return NewRecommendation(
        grade=Grade.CONFIRMED,
        setting=setting,
        candidate=setting,
        accuracy=estimate,
        gain=estimate,
        gain_over_paper=None,
        seeds=tuple(tests),
        message="Made up to measure the service.",
        evidence=evidence,
    )


@contextmanager
def serving(program: str, settings: Settings) -> Iterator[int]:
    """Serve a program's ``app`` with uvicorn as `hamtune serve` does, on the second core."""
    code = f"{program}\nimport os, uvicorn\nos.sched_setaffinity(0, {{1}})\n" + (
        "uvicorn.run(app, port=8799, log_level='warning', access_log=False)\n"
    )
    environment = {**os.environ, "HAMTUNE_DATA_DIR": str(settings.data_dir)}
    if settings.database_url:
        environment["HAMTUNE_DATABASE_URL"] = settings.database_url
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        wait_until_open(8799)
        yield 8799
    finally:
        process.terminate()
        process.wait()


def wait_until_open(port: int) -> None:
    """Wait until something accepts connections."""

    async def try_once() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    for _ in range(600):
        try:
            return asyncio.run(try_once())
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")


async def load(port: int, paths: list[str], seconds: float) -> dict[str, float]:
    """Ask over all connections for so many seconds; return rate and latencies."""
    latencies: list[float] = []
    until = time.perf_counter() + seconds

    async def ask(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        number = first
        while time.perf_counter() < until:
            path = quote(paths[number % len(paths)], safe="/?&=")
            began = time.perf_counter()
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
            latencies.append(time.perf_counter() - began)
            number += CONNECTIONS
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(ask(first) for first in range(CONNECTIONS)))
    took = time.perf_counter() - began
    latencies.sort()
    return {
        "per_second": round(len(latencies) / took),
        "p50_ms": round(1000 * median(latencies), 2),
        "p99_ms": round(1000 * latencies[int(0.99 * len(latencies))], 2),
    }


if __name__ == "__main__":
    main()
