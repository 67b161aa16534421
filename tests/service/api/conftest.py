"""The API over a real storage: in process for most tests, over real HTTP where it matters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.settings import Settings
from service.storage import SqlStorage
from tests.service.api.server import serving


@pytest.fixture
def app(settings: Settings, storage: SqlStorage) -> FastAPI:
    return create_app(settings, storage)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


@pytest.fixture
def url(app: FastAPI) -> Iterator[str]:
    """Address of the API on a free port."""
    with serving(app) as url:
        yield url
