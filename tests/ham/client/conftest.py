"""A service over real HTTP for the client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.api.app import create_app
from service.settings import Settings
from service.storage import Storage, open_storage
from service.storage.engine.migrate import migrate
from tests.service.api.server import serving


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    storage = open_storage(Settings(data_dir=tmp_path))
    migrate(storage.database)
    yield storage
    storage.database.close()


@pytest.fixture
def url(storage: Storage, tmp_path: Path) -> Iterator[str]:
    with serving(create_app(Settings(data_dir=tmp_path), storage)) as url:
        yield url
