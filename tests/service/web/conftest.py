"""The page, over real HTTP, for a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.api.app import create_app
from service.settings import Settings
from service.storage import Storage
from tests.service.api.server import serving
from tests.service.builders import opened


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """SQLite: what the page shows does not depend on the database."""
    return Settings(data_dir=tmp_path)


@pytest.fixture
def storage(settings: Settings) -> Iterator[Storage]:
    """On the real clock, since the page tells times."""
    with opened(settings) as storage:
        yield storage


@pytest.fixture
def url(settings: Settings, storage: Storage) -> Iterator[str]:
    with serving(create_app(settings, storage)) as url:
        yield url
