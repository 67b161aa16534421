"""Without its database, every address answers 503 and event streams wait."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.settings import Settings
from service.storage import Storage
from tests.postgres import OwnServer
from tests.service import studies
from tests.service.api.server import serving
from tests.service.builders import opened, submit

IDS = {
    "study_id": "study_01kb0f4q8e9w3m5r7t1v6x2y4z",
    "run_id": "run_01kb0f4q8e9w3m5r7t1v6x2y4z",
    "recommendation_id": "rec_01kb0f4q8e9w3m5r7t1v6x2y4z",
    "sweep_id": "sweep_01kb0f4q8e9w3m5r7t1v6x2y4z",
    "combination_id": "1",
    "benchmark": "b",
    "table": "runs",
}
NO_DATABASE = {
    "/healthz",
    "/v1/models",
    "/v1/datasets",
    "/v1/sparsifiers",
    "/v1/optimizers",
    "/v1/recipes",
    "/v1/search-spaces",
    "/v1/plugins",
    "/v1/published",
}
"""Addresses that need no database."""


@pytest.fixture(scope="module")
def settings(server: OwnServer, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = Path(tmp_path_factory.mktemp("away"))
    return Settings(data_dir=folder, database_url=server.url)


@pytest.fixture(scope="module")
def storage(settings: Settings) -> Iterator[Storage]:
    with opened(settings) as storage:
        yield storage


@pytest.fixture(scope="module")
def app(settings: Settings, storage: Storage) -> FastAPI:
    return create_app(settings, storage)


def addresses(app: FastAPI) -> list[tuple[str, str]]:
    paths = app.openapi()["paths"]
    documented = [(method, path) for path in paths for method in paths[path]]
    pages = [("get", path) for path in ("/", "/metrics", "/readyz", "/api/studies")]
    return [
        (method, re.sub(r"\{(\w+)\}", lambda found: IDS[found[1]], path))
        for method, path in documented + pages
        if path not in NO_DATABASE and path != "/v1/studies/plan"
    ]


def test_every_address_answers_503_without_its_database(app: FastAPI, server: OwnServer) -> None:
    client = TestClient(app, raise_server_exceptions=False)
    assert client.get("/api/studies").status_code == 200, "the dashboard is loaded"
    server.stop()
    try:
        for method, path in addresses(app):
            body = _body(path) if method in ("post", "patch") else None
            answer = client.request(method, path, json=body)
            assert answer.status_code == 503, (method, path, answer.text[:300])
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0
            assert "postgres@" not in answer.text
        for path in NO_DATABASE:
            assert client.get(path).status_code == 200
    finally:
        server.start()
    assert client.get("/readyz").status_code == 200
    assert client.get("/v1/studies").status_code == 200


def _body(path: str) -> object:
    if path == "/v1/studies":
        return studies.request_for().model_dump(mode="json")
    if path == "/v1/sweeps":
        return {"models": ["digits_cnn"], "datasets": ["digits"], "sparsifiers": ["dense"]}
    if path == "/v1/runs":
        named = {"model": "digits_cnn", "dataset": "digits", "sparsifier": "dense"}
        return {**named, "source": "somebody", "seed": 1, "epochs": 3}
    return {"priority": 1} if path.endswith(IDS["study_id"]) else None


def test_stream_of_events_outlives_an_outage(
    app: FastAPI, server: OwnServer, storage: Storage
) -> None:
    first = submit(storage)
    with (
        serving(app) as url,
        httpx2.stream("GET", f"{url}/v1/events?after=0", timeout=60) as stream,
    ):
        lines = (line for line in stream.iter_lines() if line.startswith("data:"))
        assert first in next(lines)
        server.stop()
        threading.Timer(1.0, server.start).start()

        def later() -> None:
            storage.database.max_wait = 30
            seconds.append(submit(storage))
            storage.database.max_wait = 0

        seconds: list[str] = []
        worker = threading.Thread(target=later)
        worker.start()
        assert (line := next(lines))
        worker.join()
        assert seconds[0] in line
