"""The response cache of lookups: never older than the newest recommendation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient

from ham.client.records import ALL_COMBINATIONS, CombinationFilter
from service.api.response_cache import SharedCheck
from service.settings import Settings
from service.storage import Storage
from tests.service import studies
from tests.service.cli.conftest import free_port, start_serving, stop

NAMED: dict[str, Any] = {
    "model": "digits_cnn",
    "dataset": "digits",
    "sparsifier": "random",
    "sparsity": 0.9,
}


def test_known_response_is_304_until_a_new_recommendation(
    client: TestClient, storage: Storage
) -> None:
    paths = {"/v1/recommendations": 0.8, "/v1/leaderboards": 0.7, "/v1/benchmarks": 0.6}
    for path, sparsity in paths.items():
        studies.submit(storage, studies.request_for())
        studies.finish(storage)
        first = client.get(path)
        known = {"If-None-Match": f'"other", {first.headers["etag"]}'}
        again = client.get(path, headers=known)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        studies.submit(storage, studies.request_for("rigl", sparsity))
        studies.finish(storage)
        fresh = client.get(path, headers=known)
        assert fresh.status_code == 200
        assert fresh.json() != first.json()
        assert fresh.headers["etag"] != first.headers["etag"]


def test_lookups_have_the_time_of_the_newest_recommendation(
    client: TestClient, storage: Storage
) -> None:
    assert "last-modified" not in client.get("/v1/recommendations").headers
    studies.submit(storage, studies.request_for())
    made = studies.finish(storage).created_at
    for _ in range(2):  # made, then cached
        for path in (
            "/v1/recommendations",
            "/v1/leaderboards",
            "/v1/leaderboards/overview",
            "/v1/benchmarks",
        ):
            text = client.get(path).headers["last-modified"]
            assert parsedate_to_datetime(text) == made.replace(microsecond=0)


def read_while_studies_end(storage: Storage, urls: list[str]) -> None:
    """Read from four threads while five studies store their recommendations one by one."""
    stored: list[int] = []
    done = threading.Event()

    def read(url: str) -> int:
        asked = 0
        with httpx2.Client(base_url=url) as http:
            while not done.is_set():
                before = len(stored)
                found = http.get("/v1/recommendations", params=NAMED)
                version = found.json()["items"][0]["version"] if found.status_code == 200 else 0
                assert version >= before
                asked += 1
        return asked

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, urls[reader % len(urls)]) for reader in range(4)]
        for _ in range(5):
            studies.submit(storage, studies.request_for())
            stored.append(studies.finish(storage).version)
        done.set()
        assert all(reader.result() for reader in readers)


def test_lookup_is_never_older_than_the_newest_recommendation(url: str, storage: Storage) -> None:
    """Every answer has at least the recommendations stored before its request."""
    read_while_studies_end(storage, [url])


def test_lookup_is_never_older_whichever_process_answers(
    settings: Settings, storage: Storage
) -> None:
    """The same with two processes that serve one database."""
    named = {"HAMTUNE_DATABASE_URL": settings.database_url} if settings.database_url else {}
    ports = free_port(), free_port()
    servers = []
    for port in ports:
        servers.append(
            start_serving(settings.data_dir, port, HAMTUNE_LOG_LEVEL="warning", **named)
        )
        (settings.data_dir / "service.json").unlink()
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    try:
        read_while_studies_end(storage, urls)
    finally:
        for server in servers:
            stop(server)


def test_response_stays_cached_until_a_recommendation_affects_it(
    client: TestClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sparsifier in ("random", "rigl"):
        studies.submit(storage, studies.request_for(sparsifier))
        studies.finish(storage)
    board = client.get("/v1/leaderboards").json()["items"][0]["benchmark"]["name"]
    asked: list[CombinationFilter] = []
    latest = type(storage.recommendations).latest

    def noted(self: Any, which: CombinationFilter = ALL_COMBINATIONS, **options: Any) -> Any:
        asked.append(which)
        return latest(self, which, **options)

    monkeypatch.setattr(type(storage.recommendations), "latest", noted)

    def look_up() -> int:
        """Return how many responses were made anew."""
        asked.clear()
        for path in (
            "/v1/recommendations?sparsifier=random",
            "/v1/recommendations?sparsifier=rigl",
            "/v1/recommendations?sparsity=0.8",
            "/v1/recommendations?sparsity=0.90&model=digits_cnn",
            "/v1/recommendations",
            f"/v1/leaderboards/{board}",
            "/v1/leaderboards/overview",
        ):
            assert client.get(path).status_code == 200
        return len(asked)

    assert (look_up(), look_up()) == (8, 0), "the overview reads twice"
    studies.submit(storage, studies.request_for("rigl"))
    studies.finish(storage)
    assert (look_up(), look_up()) == (6, 0)
    studies.submit(storage, studies.request_for("rigl", 0.8))
    studies.finish(storage)
    assert (look_up(), look_up()) == (5, 0)


def test_failed_check_raises_for_all_who_wait_and_is_tried_again() -> None:
    results: Iterator[Exception | None] = iter([RuntimeError("away"), None])

    async def read() -> None:
        if (result := next(results)) is not None:
            raise result

    async def ask() -> list[BaseException | None]:
        check = SharedCheck(read)
        first = await asyncio.gather(check(), check(), return_exceptions=True)
        return [*first, *await asyncio.gather(check(), return_exceptions=True)]

    one, two, three = asyncio.run(ask())
    assert isinstance(one, RuntimeError) and isinstance(two, RuntimeError)
    assert three is None, "and tried again"
