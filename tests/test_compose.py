"""The services of docker-compose.yml, run as plain processes on a real PostgreSQL."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from sqlalchemy.engine import make_url

from service.cli.config import OTHERS
from service.settings import Settings
from tests.postgres import free_port
from tests.service.builders import SMALL, a_request
from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]
FILE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = {name: service for name, service in SERVICES.items() if name != "db"}
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
SECONDS_TO_START = 240
SECONDS_TO_TUNE = 400  # Ray workers have a low priority: on a busy machine they wait
RAY = "ray-head:6379"
RAY_NODES = ("ray-head", "ray-worker", "ray-worker-gpu")
TOKEN = secrets.token_hex(32)


def interpolated(text: str, **values: str) -> str:
    """Replace variables as docker compose does."""

    def value(found: re.Match[str]) -> str:
        default = found[3] if found[2] == "-" else None
        chosen = values.get(found[1], default)
        assert chosen is not None, f"{found[1]} is needed: {found[3]}"
        return chosen

    return VARIABLE.sub(value, text)


def environment(service: str, **replaced: str) -> dict[str, str]:
    """Return the environment variables of a service's command."""
    own = {
        name: interpolated(value, POSTGRES_PASSWORD="secret", RAY_AUTH_TOKEN=TOKEN)
        for name, value in SERVICES[service].get("environment", {}).items()
    }
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HAMTUNE_", "RAY_"))}
    return {**kept, **own, **replaced}


def words(service: str, *options: str, ray: str = RAY) -> list[str]:
    """Return a service's command, with the program of this Python environment."""
    command = [str(part) for part in SERVICES[service]["command"]]
    return [here(command[0]), *_with_ray_at(ray, command[1:]), *options]


def here(program: str) -> str:
    return str(Path(sys.executable).with_name(program))


def _with_ray_at(address: str, command: list[str]) -> list[str]:
    port = f"--port={address.rpartition(':')[2]}"
    return [part.replace(RAY, address).replace("--port=6379", port) for part in command]


@contextmanager
def running(
    service: str, *options: str, folder: Path, ray: str = RAY, **replaced: str
) -> Iterator[None]:
    """Run a service's command with its environment, of which ``replaced`` is replaced."""
    log = folder / f"{service}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            words(service, *options, ray=ray),
            env=environment(service, **replaced),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_every_reference_in_the_file_exists() -> None:
    for name, service in SERVICES.items():
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
        assert ("image" in service) and (name == "db" or service["build"] == ".")
        for other, condition in service.get("depends_on", {}).items():
            done = "service_completed_successfully" if other == "migrate" else "service_healthy"
            assert condition == {"condition": done}
            assert other == "migrate" or "healthcheck" in SERVICES[other]
        for volume in service.get("volumes", []):
            source = re.sub(r"^\$\{\w+:-(\w+)\}", r"\1", volume).split(":")[0]
            assert source in FILE["volumes"], volume
        if name != "migrate":
            assert service["healthcheck"]["test"][0] == "CMD"
    for name in ("scheduler", *RAY_NODES):
        assert SERVICES[name]["environment"]["RAY_ADDRESS"] == RAY
        assert SERVICES[name]["environment"]["RAY_AUTH_MODE"] == "token"
    for name in ("scheduler", "ray-worker", "ray-worker-gpu"):
        assert "states:/states" in SERVICES[name]["volumes"], (
            "workers write checkpoints where schedulers read them"
        )
    assert SERVICES["scheduler"]["environment"]["HAMTUNE_CHECKPOINTS"] == "/states"
    [port] = [part for part in SERVICES["ray-head"]["command"] if part.startswith("--port=")]
    assert RAY == f"ray-head:{port.removeprefix('--port=')}"


def test_only_the_api_is_reachable_and_trainings_have_no_database() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["api"]
    for name in RAY_NODES:
        assert "HAMTUNE_DATABASE_URL" not in SERVICES[name]["environment"], "trainings need none"


def test_only_the_worker_with_the_gpu_profile_asks_for_gpus() -> None:
    assert SERVICES["ray-worker"]["profiles"] == ["cpu"]
    assert SERVICES["ray-worker-gpu"]["profiles"] == ["gpu"]
    reserving = [name for name, service in SERVICES.items() if "deploy" in service]
    assert reserving == ["ray-worker-gpu"]
    [device] = SERVICES["ray-worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}


def test_compose_sets_only_settings_that_exist() -> None:
    known = {f"HAMTUNE_{name.upper()}" for name in Settings.model_fields} | OTHERS.keys()
    known |= {"RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "FORWARDED_ALLOW_IPS"}
    for service in OURS.values():
        assert service["environment"].keys() <= known
    port = Settings().port
    assert SERVICES["api"]["ports"] == [f"${{HAMTUNE_BIND:-127.0.0.1}}:{port}:{port}"]


def test_the_example_environment_names_every_variable_and_no_other() -> None:
    example = (ROOT / ".env.example").read_text()
    offered = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    used = {found[0] for found in VARIABLE.findall((ROOT / "docker-compose.yml").read_text())}
    assert offered == used | {"COMPOSE_PROFILES"}
    for secret in ("POSTGRES_PASSWORD", "RAY_AUTH_TOKEN"):
        assert f"{secret}=\n" in example, "no secret is shipped"


def test_the_image_does_not_run_as_root() -> None:
    last = (ROOT / "Dockerfile").read_text().rpartition("FROM ")[2]
    assert "USER hamtune" in last.split("\n")


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.timeout(1200)
def test_services_of_the_compose_file_tune_a_study_together(
    empty_postgres_url: str, tmp_path: Path
) -> None:
    port, ray = str(free_port()), f"127.0.0.1:{free_port()}"
    replaced = {"HAMTUNE_DATABASE_URL": empty_postgres_url}
    budget = SMALL.model_copy(update={"trials": 3})
    request = a_request(sparsifier="dense", sparsity=0.0, model="digits_mlp", budget=budget)
    check_database(empty_postgres_url)
    subprocess.run(words("migrate"), env=environment("migrate", **replaced), check=True)
    made = subprocess.run(
        [here("hamtune"), "keys", "create", "me", "--scope", "admin"],
        env=environment("api", **replaced),
        check=True,
        capture_output=True,
        text=True,
    )
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    with (
        running(
            "api",
            "--port",
            port,
            folder=tmp_path,
            HAMTUNE_DATA_DIR=str(tmp_path / "work"),
            **replaced,
        ),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client,
    ):
        wait_until(lambda: healthy(port), SECONDS_TO_START)
        assert httpx2.get(f"http://127.0.0.1:{port}/v1/studies").status_code == 401
        accepted = client.post("/v1/studies", json=request.model_dump(mode="json"))
        assert accepted.status_code == 202, accepted.text
        study = accepted.headers["Location"]
        assert client.get(study).json()["state"] == "queued", "the API runs no study"
        with (
            ray_cluster(ray, tmp_path),
            running(
                "scheduler",
                folder=tmp_path,
                ray=ray,
                RAY_ADDRESS=ray,
                HAMTUNE_DATA_DIR=str(tmp_path / "work"),
                HAMTUNE_CHECKPOINTS=str(tmp_path / "states"),
                **replaced,
            ),
        ):
            wait_until(
                lambda: client.get(study).json()["state"] not in ("queued", "running"),
                SECONDS_TO_TUNE,
            )
        ended = client.get(study).json()
        assert (ended["state"], ended["error"]) == ("succeeded", None)
        found = client.get("/v1/recommendations", params={"model": "digits_mlp"}).json()
        assert study.endswith(found["items"][0]["study_id"])
        lines = client.get(f"{study}/logs").json()["items"]
        assert {"a run begins", "a run ended"} <= {line["event"] for line in lines}
        assert client.get(f"{study}/output").status_code == 200, "the data folder is shared"
        shown = client.get("/api/studies").json()["study_summaries"]
        assert [study["study_name"] for study in shown], "the dashboard is behind the same gate"


@contextmanager
def ray_cluster(address: str, folder: Path) -> Iterator[None]:
    """Run the Ray services, each until its own health check passes."""
    # Ray puts sockets there, whose paths must be short.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as short:
        around = {"ray": address, "RAY_ADDRESS": address, "RAY_TMPDIR": short}
        with running("ray-head", folder=folder, **around):
            wait_until(lambda: ray_is_healthy("ray-head", address), SECONDS_TO_START)
            with running("ray-worker", folder=folder, HAM_DATA_DIR=str(folder), **around):
                wait_until(lambda: ray_is_healthy("ray-worker", address), SECONDS_TO_START)
                yield


def ray_is_healthy(service: str, address: str) -> bool:
    """Run a Ray service's own health check, at the address of this test."""
    _, program, *arguments = SERVICES[service]["healthcheck"]["test"]
    command = [here(program), *_with_ray_at(address, arguments)]
    around = environment(service, RAY_ADDRESS=address)
    return subprocess.run(command, env=around, capture_output=True).returncode == 0


def healthy(port: str) -> bool:
    """Run the API's own health check, at the port of this test."""
    _, program, *arguments = SERVICES["api"]["healthcheck"]["test"]
    assert program == "python"
    there = [part.replace(":8642/", f":{port}/") for part in arguments]
    done = subprocess.run([sys.executable, *there], capture_output=True)
    return done.returncode == 0


def check_database(url: str) -> None:
    """Run the database's own health check, if its program is installed."""
    _, *command = SERVICES["db"]["healthcheck"]["test"]
    if shutil.which(command[0]) is None:
        return
    at = make_url(url)
    where = {"PGHOST": str(at.host), "PGPORT": str(at.port)}
    done = subprocess.run(command, env={**os.environ, **where}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
