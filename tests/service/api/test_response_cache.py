"""Recommendations, leaderboards and the catalogue."""

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

from ham.catalog import SPARSIFIERS
from ham.client.records import ALL_COMBINATIONS, CombinationFilter
from service.api.response_cache import SharedLook
from service.settings import Settings
from service.storage import Storage
from tests.service import studies
from tests.service.cli.conftest import free_port, start_serving, stop

NAMED = {"model": "digits_cnn", "dataset": "digits", "sparsifier": "random", "sparsity": 0.9}


def test_finished_study_is_found_by_its_combination(client: TestClient, storage: Storage) -> None:
    studies.submit(storage, studies.request_for())
    stored = studies.finish(storage)
    [found] = client.get("/v1/recommendations", params=NAMED).json()["items"]
    assert found == stored.model_dump(mode="json")
    assert found["grade"] == "confirmed"
    assert found["gain"]["low"] > 0


def test_newest_recommendation_of_a_combination_is_answered(
    client: TestClient, storage: Storage
) -> None:
    for gain in (0.02, 0.03):
        studies.submit(storage, studies.request_for())
        newest = studies.finish(storage, gain)
    [found] = client.get("/v1/recommendations", params=NAMED).json()["items"]
    assert (found["version"], found["study_id"]) == (2, newest.study_id)


def test_partial_filter_lists_what_matches(client: TestClient, storage: Storage) -> None:
    for sparsifier, sparsity in (("dense", 0.0), ("random", 0.9), ("rigl", 0.9)):
        studies.submit(storage, studies.request_for(sparsifier, sparsity))
        studies.finish(storage)
    found = client.get("/v1/recommendations", params={"sparsity": 0.9}).json()["items"]
    assert [row["combination"]["sparsifier"] for row in found] == ["rigl", "random"]


@pytest.mark.parametrize("query", [{}, {"model": "digits_mlp"}, {**NAMED, "sparsity": None}])
def test_partial_filter_without_match_is_an_empty_list(
    client: TestClient, query: dict[str, Any]
) -> None:
    query = {name: value for name, value in query.items() if value is not None}
    response = client.get("/v1/recommendations", params=query)
    assert (response.status_code, response.json()["items"]) == (200, [])


@pytest.mark.parametrize(
    "query",
    [NAMED, {"model": "digits_cnn", "dataset": "digits", "sparsifier": "dense"}],
    ids=["all named", "dense needs no sparsity"],
)
def test_named_combination_without_recommendation_is_404_that_says_how_to_get_one(
    client: TestClient, query: dict[str, Any]
) -> None:
    response = client.get("/v1/recommendations", params=query)
    assert response.status_code == 404
    detail = response.json()["detail"]
    assert "POST /v1/studies" in detail
    assert "hamtune tune digits_cnn" in detail


def test_named_combination_that_cannot_be_is_422(client: TestClient) -> None:
    query = {**NAMED, "sparsifier": "dense"}
    response = client.get("/v1/recommendations", params=query)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "sparsity"


def test_named_combination_beside_which_ham_has_no_meaning_is_422(client: TestClient) -> None:
    response = client.get("/v1/recommendations", params={**NAMED, "sparsifier": "pilot"})
    assert response.status_code == 422
    assert "nothing to tune" in response.json()["detail"]


def test_leaderboard_ranks_methods_by_accuracy(client: TestClient, storage: Storage) -> None:
    for sparsifier, gain in (("random", 0.03), ("rigl", 0.015)):
        studies.submit(storage, studies.request_for(sparsifier))
        studies.finish(storage, gain)
    [board] = client.get("/v1/leaderboards").json()["items"]
    name = board["benchmark"]["name"]
    assert client.get(f"/v1/leaderboards/{name}").json() == board
    means = [row["test_accuracy"]["mean"] for row in board["rows"]]
    assert means == sorted(means, reverse=True)
    tuned = [row["sparsifier"] for row in board["rows"] if row["role"] == "tuned"]
    assert tuned == ["random", "rigl"]


def test_unknown_leaderboard_says_which_there_are(client: TestClient, storage: Storage) -> None:
    studies.submit(storage, studies.request_for())
    studies.finish(storage)
    response = client.get("/v1/leaderboards/nothing")
    assert response.status_code == 404
    assert "digits_cnn-digits-0.90-digits@1" in response.json()["detail"]


def test_overview_is_made_of_all_leaderboards(client: TestClient, storage: Storage) -> None:
    for sparsifier, gain in (("random", 0.03), ("rigl", 0.015)):
        studies.submit(storage, studies.request_for(sparsifier))
        studies.finish(storage, gain)
    found = client.get("/v1/leaderboards/overview").json()
    assert (found["benchmarks"], found["combinations"]) == (1, 2)
    assert found["settings"][0]["mean_gain"] > 0
    assert found["methods"][0]["sparsifier"] == "random"
    assert found["environments"] == ["torch none: made up by a test"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/models", "digits_cnn"),
        ("/v1/datasets", "digits"),
        ("/v1/sparsifiers", "rigl"),
        ("/v1/optimizers", "sgd"),
    ],
)
def test_catalogue_lists_what_can_be_named(client: TestClient, path: str, name: str) -> None:
    rows = client.get(path).json()["items"]
    assert name in {row["name"] for row in rows}
    assert all("factory" not in row for row in rows)


def test_catalogue_lists_every_sparsifier_in_order(client: TestClient) -> None:
    rows = client.get("/v1/sparsifiers").json()["items"]
    assert [row["name"] for row in rows] == SPARSIFIERS.names()


def test_recipes_and_spaces_are_those_that_plans_use(client: TestClient) -> None:
    plan = client.post("/v1/studies/plan", json=NAMED).json()
    recipes = {row["id"]: row for row in client.get("/v1/recipes").json()["items"]}
    spaces = {row["id"]: row for row in client.get("/v1/search-spaces").json()["items"]}
    assert recipes[plan["combination"]["recipe"]]["recipe"] == plan["recipe"]
    space = plan["space"]
    assert spaces[f"{space['name']}@{space['version']}"]["alpha"] == space["alpha"]


def test_lookup_that_is_known_is_answered_304_until_something_new_is_found(
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


def test_lookups_say_when_they_were_modified(client: TestClient, storage: Storage) -> None:
    assert "last-modified" not in client.get("/v1/recommendations").headers
    studies.submit(storage, studies.request_for())
    made = studies.finish(storage).created_at
    for _ in range(2):  # made, then kept
        for path in (
            "/v1/recommendations",
            "/v1/leaderboards",
            "/v1/leaderboards/overview",
            "/v1/benchmarks",
        ):
            text = client.get(path).headers["last-modified"]
            assert parsedate_to_datetime(text) == made.replace(microsecond=0)


def read_while_studies_end(storage: Storage, urls: list[str]) -> None:
    """Four readers, while five studies leave their recommendations one after the other."""
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
        readers = [pool.submit(read, urls[place % len(urls)]) for place in range(4)]
        for _ in range(5):
            studies.submit(storage, studies.request_for())
            stored.append(studies.finish(storage).version)
        done.set()
        assert all(reader.result() for reader in readers)


def test_lookup_is_never_older_than_the_newest_recommendation(url: str, storage: Storage) -> None:
    """Readers all the time; each answer holds at least what was stored before it was asked for."""
    read_while_studies_end(storage, [url])


def test_lookup_is_never_older_whichever_process_answers(
    settings: Settings, storage: Storage
) -> None:
    """The same over two processes that serve one database."""
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


def test_answer_stays_in_memory_until_there_is_news_of_what_it_speaks_of(
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
        """Return how many answers had to be made anew."""
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

    assert (look_up(), look_up()) == (8, 0), "the overview asks twice"
    studies.submit(storage, studies.request_for("rigl"))
    studies.finish(storage)
    assert (look_up(), look_up()) == (6, 0)
    studies.submit(storage, studies.request_for("rigl", 0.8))
    studies.finish(storage)
    assert (look_up(), look_up()) == (5, 0)


def test_failed_look_at_the_version_is_told_to_all_who_wait_and_tried_again() -> None:
    results: Iterator[Exception | None] = iter([RuntimeError("away"), None])

    async def read() -> None:
        if (result := next(results)) is not None:
            raise result

    async def ask() -> list[BaseException | None]:
        look = SharedLook(read)
        first = await asyncio.gather(look(), look(), return_exceptions=True)
        return [*first, await look()]

    one, two, three = asyncio.run(ask())
    assert isinstance(one, RuntimeError) and isinstance(two, RuntimeError)
    assert three is None, "and tried again"
