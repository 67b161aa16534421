"""Looking up recommendations."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.storage import Storage
from tests.service import studies

NAMED: dict[str, Any] = {
    "model": "digits_cnn",
    "dataset": "digits",
    "sparsifier": "random",
    "sparsity": 0.9,
}


def test_recommendation_of_a_finished_study_is_found_by_its_combination(
    client: TestClient, storage: Storage
) -> None:
    studies.submit(storage, studies.request_for())
    stored = studies.finish(storage)
    [found] = client.get("/v1/recommendations", params=NAMED).json()["items"]
    assert found == stored.model_dump(mode="json")
    assert found["grade"] == "confirmed"
    assert found["gain"]["low"] > 0


def test_lookup_answers_the_newest_recommendation_of_a_combination(
    client: TestClient, storage: Storage
) -> None:
    for gain in (0.02, 0.03):
        studies.submit(storage, studies.request_for())
        newest = studies.finish(storage, gain)
    [found] = client.get("/v1/recommendations", params=NAMED).json()["items"]
    assert (found["version"], found["study_id"]) == (2, newest.study_id)


def test_partial_filter_lists_matching_recommendations(
    client: TestClient, storage: Storage
) -> None:
    for sparsifier, sparsity in (("dense", 0.0), ("random", 0.9), ("rigl", 0.9)):
        studies.submit(storage, studies.request_for(sparsifier, sparsity))
        studies.finish(storage)
    found = client.get("/v1/recommendations", params={"sparsity": 0.9}).json()["items"]
    assert [recommendation["combination"]["sparsifier"] for recommendation in found] == [
        "rigl",
        "random",
    ]


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


def test_impossible_combination_is_422(client: TestClient) -> None:
    query = {**NAMED, "sparsifier": "dense"}
    response = client.get("/v1/recommendations", params=query)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "sparsity"


def test_sparsifier_that_takes_no_ham_is_422(client: TestClient) -> None:
    response = client.get("/v1/recommendations", params={**NAMED, "sparsifier": "pilot"})
    assert response.status_code == 422
    assert "nothing to tune" in response.json()["detail"]
