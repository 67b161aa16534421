"""docker-compose.yml: its API and its worker, run as plain processes on PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from service.settings import Settings
from tests.postgres import free_port
from tests.service.builders import SMALL, a_request

ROOT = Path(__file__).parents[1]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())[
    "services"
]
SECONDS_TO_START = 60
SECONDS_TO_TUNE = 400  # Ray workers are nice: on a busy machine they wait


@contextmanager
def running(service: str, *options: str, folder: Path, **environment: str) -> Iterator[None]:
    """Run a service's command with its environment, some of it replaced."""
    command = [str(part) for part in SERVICES[service]["command"]]
    program = Path(sys.executable).with_name(command[0])
    log = folder / f"{service}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(program), *command[1:], *options],
            env={**os.environ, **SERVICES[service]["environment"], **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def wait_for(done: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not done within {seconds} s"
        time.sleep(0.2)


def test_api_and_worker_share_one_database_and_nothing_else() -> None:
    assert SERVICES.keys() == {"db", "api", "worker"}
    api, worker = SERVICES["api"], SERVICES["worker"]
    assert api["environment"] == worker["environment"]
    for service in (api, worker):
        assert service["depends_on"] == {"db": {"condition": "service_healthy"}}
    assert "healthcheck" in SERVICES["db"]
    assert not {volume.split(":")[0] for volume in api["volumes"]} & {
        volume.split(":")[0] for volume in worker["volumes"]
    }


def test_compose_knows_only_settings_that_exist() -> None:
    known = {f"HAMTUNE_{name.upper()}" for name in Settings.model_fields}
    for service in ("api", "worker"):
        assert SERVICES[service]["environment"].keys() <= known
    assert SERVICES["api"]["ports"] == [f"127.0.0.1:{Settings().port}:{Settings().port}"]


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_services_of_the_compose_file_tune_a_study_together(
    empty_postgres_url: str, tmp_path: Path
) -> None:
    port = str(free_port())
    environment = {"HAMTUNE_DATABASE_URL": empty_postgres_url, "HAMTUNE_CPUS": "2"}
    budget = SMALL.model_copy(update={"trials": 3})
    request = a_request(sparsifier="dense", sparsity=0.0, model="digits_mlp", budget=budget)
    with (
        running(
            "api",
            "--port",
            port,
            folder=tmp_path,
            HAMTUNE_DATA_DIR=str(tmp_path / "api"),
            **environment,
        ),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):

        def ready() -> bool:
            try:
                return client.get("/readyz").status_code == 200
            except httpx2.TransportError:
                return False

        wait_for(ready, SECONDS_TO_START)
        accepted = client.post("/v1/studies", json=request.model_dump(mode="json"))
        assert accepted.status_code == 202, accepted.text
        study = accepted.headers["Location"]
        assert client.get(study).json()["state"] == "queued", "the API itself runs nothing"
        with running(
            "worker", folder=tmp_path, HAMTUNE_DATA_DIR=str(tmp_path / "worker"), **environment
        ):
            wait_for(
                lambda: client.get(study).json()["state"] not in ("queued", "running"),
                SECONDS_TO_TUNE,
            )
        ended = client.get(study).json()
        assert (ended["state"], ended["error"]) == ("succeeded", None)
        found = client.get("/v1/recommendations", params={"model": "digits_mlp"}).json()
        assert study.endswith(found["items"][0]["study_id"])
