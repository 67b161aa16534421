"""The pages over real HTTP, a real browser, and a real training to show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from ham import RunConfig, train
from ham.client.records import Purpose, Run
from service.api.app import create_app
from service.records import Job, Outcome
from service.settings import Settings
from service.storage import Storage
from service.workers.cluster.trainer import facts_of
from tests.service import studies
from tests.service.api.server import serving
from tests.service.builders import opened


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """SQLite: the pages do not depend on the kind of database."""
    return Settings(data_dir=tmp_path)


@pytest.fixture
def storage(settings: Settings) -> Iterator[Storage]:
    """A storage on the real clock, since the pages show times."""
    with opened(settings) as storage:
        yield storage


@pytest.fixture
def url(settings: Settings, storage: Storage) -> Iterator[str]:
    with serving(create_app(settings, storage)) as url:
        yield url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """A page that fails the test if it loads from another host or its script has an error."""
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.on(
        "request",
        lambda request: None if "//127.0.0.1:" in request.url else errors.append(request.url),
    )
    yield page
    page.close()
    assert errors == []


@pytest.fixture
def run(storage: Storage) -> Run:
    """A real training under RigL, stored as the service stores it."""
    return trained(storage, "rigl")


def trained(storage: Storage, sparsifier: str) -> Run:
    study = studies.submit(storage, studies.request_for(sparsifier))
    plan, lease = study.plan, studies.claim(storage)[1]
    job = Job(purpose=Purpose.CONFIRMATION, setting=plan.baselines[0], seed=7)
    config = RunConfig(
        combination=plan.combination, recipe=plan.recipe, setting=job.setting, seed=job.seed
    )
    begun = storage.runs.begin(lease, job, plan.run_epochs)
    result = train(config, measure_test=True, device="cpu")
    outcome = Outcome.model_validate(facts_of(result))
    return storage.runs.end(lease, begun.id, outcome)
