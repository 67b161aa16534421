"""Fixtures of all tests: real databases, a clock to move, a real browser.

A test that needs something this machine lacks is skipped; with ``CI`` set it fails.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from playwright.sync_api import Browser

from service.api.app import create_app
from service.settings import Settings
from service.storage import Database, Storage
from service.storage.engine.migrate import migrate
from tests.browser import NoBrowser, chromium
from tests.postgres import NoServer, OwnServer, clear, empty, fresh_database, own_server
from tests.postgres import server as any_server
from tests.service.api.server import serving


class MovableClock:
    """A clock that shows the same time until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a database for this session, dropped at the end."""
    try:
        with any_server() as server_url, fresh_database(server_url) as url:
            yield url
    except NoServer as error:
        _unavailable(str(error))


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    """A PostgreSQL server for one module, which may stop and start it."""
    try:
        with own_server() as server:
            yield server
    except NoServer as error:
        _unavailable(str(error))


@pytest.fixture
def empty_postgres_url(postgres_url: str) -> Iterator[str]:
    """URL of the session's database without tables; whatever the test makes in it is removed."""
    empty(postgres_url)
    yield postgres_url
    empty(postgres_url)


@pytest.fixture
def clear_postgres_url(postgres_url: str) -> str:
    """URL of the session's database with its tables and without rows."""
    clear(postgres_url)
    return postgres_url


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a service with empty tables, once per kind of database."""
    postgresql = request.param == "postgresql"
    url = request.getfixturevalue("clear_postgres_url") if postgresql else None
    return Settings(data_dir=tmp_path / "data", database_url=url)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """A migrated database without rows, once per kind."""
    database = Database(settings.database)
    migrate(database)
    yield database
    database.close()


@pytest.fixture
def storage(database: Database, clock: MovableClock) -> Storage:
    """The storage over :func:`database`, on the clock that the test can move."""
    return Storage(database, clock=clock)


@pytest.fixture
def app(settings: Settings, storage: Storage) -> FastAPI:
    return create_app(settings, storage)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


@pytest.fixture
def url(app: FastAPI) -> Iterator[str]:
    """URL of the API on a free port."""
    with serving(app) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium for one module; asyncio.run is refused until it is closed."""
    try:
        with chromium() as browser:
            yield browser
    except NoBrowser as error:
        _unavailable(str(error))


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"needed under CI: {reason}", pytrace=False)
    pytest.skip(reason)
