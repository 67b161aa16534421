"""Results that were measured elsewhere: external runs and published results."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.domain.transfer.published import published_for, published_results
from service.storage import Storage
from tests.service.api.exporting import exported

EXTERNAL = {
    "source": "our cluster, commit 1a2b3c4",
    "model": "digits_cnn",
    "dataset": "digits",
    "sparsifier": "random",
    "sparsity": 0.9,
    "alpha": 20.0,
    "beta": 0.001,
    "seed": 7,
    "epochs": 15,
    "test_accuracy": 0.99,
    "curve": [
        {
            "epoch": 1,
            "train_loss": 0.5,
            "validation_accuracy": 0.9,
            "learning_rate": 0.1,
            "seconds": 2.0,
            "sign_flips": 0.01,
            "mask_churn": 0.0,
        }
    ],
}


@pytest.fixture(scope="module")
def storage(finished_storage: Storage) -> Storage:
    return finished_storage


@pytest.fixture(scope="module")
def client(finished_client: TestClient) -> TestClient:
    return finished_client


def test_external_run_is_stored_with_its_source_and_kept_apart(
    client: TestClient, storage: Storage
) -> None:
    boards = client.get("/v1/leaderboards").json()
    recommended = client.get("/v1/recommendations").json()
    answer = client.post("/v1/runs", json=EXTERNAL)
    assert answer.status_code == 201, answer.text
    stored = answer.json()
    assert (stored["purpose"], stored["source"]) == ("external", EXTERNAL["source"])
    listed = client.get("/v1/external-runs", params={"sparsifier": "random"}).json()["items"]
    assert listed == [stored]
    assert client.get("/v1/external-runs", params={"sparsifier": "rigl"}).json()["items"] == []
    assert [row["id"] for row in exported(client, "external-runs", "csv")] == [stored["id"]]
    (row,) = exported(client, "external-runs", "jsonl")
    assert row["curve"] == stored["curve"] == EXTERNAL["curve"]
    assert client.get("/v1/leaderboards").json() == boards
    assert client.get("/v1/recommendations").json() == recommended
    assert stored["id"] not in {row["id"] for row in exported(client, "runs", "jsonl")}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"source": ""}, "source"),
        ({"model": "digits_cn"}, "model"),
        ({"sparsity": 1.0}, "sparsity"),
        ({"test_accuracy": 99.0}, "test_accuracy"),
        ({"alpha": -1}, "alpha"),
        ({"seed": 2**31}, "seed"),
        ({"purpose": "confirmation"}, "purpose"),
        ({"measures": {"x": "y" * 30_000}}, "measures"),
    ],
)
def test_invalid_external_run_is_refused(
    client: TestClient, changes: dict[str, Any], field: str
) -> None:
    answer = client.post("/v1/runs", json=EXTERNAL | changes)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_published_results_name_their_sources_and_are_fractions() -> None:
    results = published_results()
    assert len(results) > 100
    assert len(set(results)) == len(results), "no result is listed twice"
    for result in results:
        assert result.source and result.recipe and result.purpose == "published"
        assert 0 < result.test_accuracy < 1 and 0 <= result.sparsity < 1
        assert result.spread is None or 0 < result.spread < 0.01
    [ham] = [
        result
        for result in published_for("resnet50", "imagenet", 0.95)
        if result.ham and result.method == "rigl"
    ]
    assert ham.test_accuracy == pytest.approx(0.7293)


def test_published_results_are_beside_a_leaderboard_and_never_in_it(client: TestClient) -> None:
    listed = client.get("/v1/published").json()["items"]
    assert len(listed) == len(published_results())
    [board] = client.get("/v1/leaderboards").json()["items"]
    assert board["published"] == [], "nobody publishes results on the digits"
