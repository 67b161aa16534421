"""The real Optuna dashboard, read-only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.settings import Settings
from service.storage import Storage
from tests.service.builders import opened


def make_an_optuna_study(settings: Settings) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tables = optuna.storages.RDBStorage(settings.optuna_database)
    study = optuna.create_study(storage=tables, study_name="study_of_a_test")
    study.optimize(lambda trial: trial.suggest_float("alpha", 1, 10), n_trials=2)
    tables.engine.dispose()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One dashboard for the tests that do not depend on the kind of database."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("dashboard"))
    make_an_optuna_study(settings)
    with opened(settings) as storage, TestClient(create_app(settings, storage)) as client:
        yield client


def test_dashboard_shows_the_studies_of_optunas_storage(
    settings: Settings, storage: Storage
) -> None:
    make_an_optuna_study(settings)  # on PostgreSQL in a schema that the migrations made
    with TestClient(create_app(settings, storage)) as client:
        assert_study_is_shown(client)


def assert_study_is_shown(client: TestClient) -> None:
    page = client.get("/dashboard")
    assert page.status_code == 200
    assert "optuna" in page.text.lower()
    summaries = client.get("/api/studies").json()["study_summaries"]
    assert [summary["study_name"] for summary in summaries] == ["study_of_a_test"]
    detail = client.get(f"/api/studies/{summaries[0]['study_id']}").json()
    assert len(detail["trials"]) == 2


def test_dashboards_own_assets_are_found_at_their_absolute_addresses(client: TestClient) -> None:
    assets = re.findall(r'(?:src|href)="(/static/[^"]+)"', client.get("/dashboard").text)
    assert assets
    for asset in assets:
        assert client.get(asset).status_code == 200
        assert client.get(asset, headers={"accept-encoding": "gzip"}).status_code == 200


def test_request_without_accept_encoding_is_answered(client: TestClient) -> None:
    script = re.findall(r'src="(/static/[^"]+)"', client.get("/dashboard").text)[0]
    request = client.build_request("GET", script)
    del request.headers["accept-encoding"]
    assert client.send(request).status_code == 200


def test_pages_of_the_dashboards_script_are_served(client: TestClient) -> None:
    assert client.get("/dashboard/studies/1").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/studies"),
        ("DELETE", "/api/studies/1"),
        ("PUT", "/api/studies/1/note"),
        ("POST", "/api/trials/1/tell"),
        ("POST", "/dashboard"),
        ("PATCH", "/api/studies/1"),
    ],
)
def test_dashboard_writes_are_refused_and_change_nothing(
    client: TestClient, method: str, path: str
) -> None:
    before = client.get("/api/studies").json()
    response = client.request(method, path, json={})
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"
    assert "read-only" in response.json()["detail"]
    assert client.get("/api/studies").json() == before


def test_addresses_of_the_service_are_not_the_dashboards(client: TestClient) -> None:
    assert "hamtune" in client.get("/").text
    assert "swagger" in client.get("/docs").text.lower()
    assert client.get("/v1/studies").json() == {"items": [], "next_cursor": None}


def test_dashboard_that_cannot_load_answers_503_and_the_rest_works(
    tmp_path: Path, storage: Storage
) -> None:
    (tmp_path / "optuna.sqlite3").write_bytes(b"no database" * 500)
    with TestClient(create_app(Settings(data_dir=tmp_path), storage)) as client:
        assert client.get("/dashboard").status_code == 503
        assert client.get("/v1/studies").status_code == 200
