"""Leaderboards, one by one and all together."""

from __future__ import annotations

from fastapi.testclient import TestClient

from service.storage import Storage
from tests.service import studies


def test_leaderboard_ranks_methods_by_accuracy(client: TestClient, storage: Storage) -> None:
    for sparsifier, gain in (("random", 0.03), ("rigl", 0.015)):
        studies.submit(storage, studies.request_for(sparsifier))
        studies.finish(storage, gain)
    [board] = client.get("/v1/leaderboards").json()["items"]
    name = board["benchmark"]["name"]
    assert client.get(f"/v1/leaderboards/{name}").json() == board
    means = [entry["test_accuracy"]["mean"] for entry in board["rows"]]
    assert means == sorted(means, reverse=True)
    tuned = [entry["sparsifier"] for entry in board["rows"] if entry["role"] == "tuned"]
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
