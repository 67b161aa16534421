"""Storages with finished studies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from ham.client.records import SweepRequest
from service.api.app import create_app
from service.domain.planning.sweeps import expand
from service.settings import Settings
from service.storage import Storage, open_storage
from service.storage.engine.migrate import migrate
from tests.service import studies


@pytest.fixture(scope="module")
def finished_storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    """Three recommendations, a Pareto front and a queued sweep, for tests that only read."""
    storage = open_storage(Settings(data_dir=Path(tmp_path_factory.mktemp("exports"))))
    migrate(storage.database)
    studies.submit(storage, studies.pareto_request().model_copy(update={"model": "digits_mlp"}))
    studies.finish_pareto_study(storage)
    for request in (
        studies.request_for("random"),
        studies.request_for("rigl"),
        studies.request_for("set", tune=("learning_rate",)),
    ):
        studies.submit(storage, request)
        studies.finish(storage)
    sweep = SweepRequest(models=("digits_mlp",), datasets=("digits",), sparsifiers=("dense",))
    storage.sweeps.submit(sweep, *expand(sweep))
    yield storage
    storage.database.close()


@pytest.fixture(scope="module")
def finished_client(finished_storage: Storage) -> TestClient:
    return TestClient(create_app(Settings(), finished_storage))


@pytest.fixture
def two_studies(storage: Storage) -> list[str]:
    """Return the ids of two studies that have succeeded."""
    ids = []
    for sparsifier in ("random", "rigl"):
        ids.append(studies.submit(storage, studies.request_for(sparsifier)).id)
        studies.finish(storage)
    return ids
