"""Health checks for operators."""

from __future__ import annotations

from pathlib import Path

from fastapi.testclient import TestClient

from service.api.app import create_app
from service.settings import Settings
from service.storage import Storage
from service.storage.engine.migrate import migrate


def test_ready_service_answers_ok(client: TestClient) -> None:
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.get("/readyz").json() == client.get("/healthz").json()


def test_service_without_tables_is_healthy_but_not_ready(tmp_path: Path) -> None:
    client = TestClient(create_app(Settings(data_dir=tmp_path)))
    assert client.get("/healthz").status_code == 200
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "hamtune migrate" in response.json()["detail"]


def test_service_whose_tables_are_older_is_not_ready(settings: Settings, storage: Storage) -> None:
    client = TestClient(create_app(settings, storage))
    assert client.get("/readyz").status_code == 200
    migrate(storage.database, "-1")
    assert client.get("/readyz").status_code == 503
    migrate(storage.database)


def test_instance_tells_processes_apart(tmp_path: Path) -> None:
    one, other = (TestClient(create_app(Settings(data_dir=tmp_path))) for _ in range(2))
    assert one.get("/healthz").json()["instance"] != other.get("/healthz").json()["instance"]
