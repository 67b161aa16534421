"""The Content-Security-Policy breaks no page, and one key opens all of them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from service.records import Scope
from service.settings import Settings
from service.storage import Storage
from tests.service import studies
from tests.service.api.test_dashboard import make_an_optuna_study
from tests.service.web.conftest import storage, url

__all__ = ["storage", "url"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A service that requires keys."""
    return Settings(data_dir=tmp_path, require_keys=True)


@pytest.fixture
def page(browser: Browser, storage: Storage, url: str) -> Iterator[Page]:
    """A page whose user gives the key as the password once; it is closed before its service."""
    _, token = storage.keys.create("ada", Scope.SUBMIT)
    context = browser.new_context(http_credentials={"username": "ada", "password": token})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    yield page
    context.close()
    assert errors == []


def test_home_page_refreshes_behind_the_gate(page: Page, url: str, storage: Storage) -> None:
    study = studies.submit(storage, studies.request_for())
    page.goto(url)
    _, lease = studies.claim(storage)
    studies.search(storage, study, lease, 3)
    expect(page.locator(".card")).to_contain_text("3 of 4", timeout=10_000)


def test_swagger_submits_a_study(page: Page, url: str, storage: Storage) -> None:
    page.goto(f"{url}/docs")
    page.locator(".opblock-summary-description", has_text="Submit a study").click()
    page.get_by_role("button", name="Execute").first.click()
    expect(page.locator(".live-responses-table tbody .response-col_status").first).to_contain_text(
        "202"
    )
    assert len(storage.studies.list()) == 1


def test_optuna_dashboard_draws_its_plots(page: Page, url: str, settings: Settings) -> None:
    make_an_optuna_study(settings)
    page.goto(f"{url}/dashboard")
    page.get_by_text("study_of_a_test").first.click()
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=20_000)


def test_browser_without_a_key_is_told_why(url: str) -> None:
    request = urllib.request.Request(f"{url}/", headers={"Accept": "text/html"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert "hamtune keys create" in json.loads(refused.value.read())["detail"]
    refused.value.close()


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/dashboard", "/v1/models", "/healthz", "/nowhere"]
)
def test_every_answer_carries_the_headers(url: str, path: str) -> None:
    try:
        answer = urllib.request.urlopen(url + path)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "unsafe-eval" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Request-ID"]
