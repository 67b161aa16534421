"""Sweeps: a study for every combination that is possible and not tuned yet."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from ham.client.records import Command
from service.api.app import create_app
from service.records import Limits
from service.settings import Settings
from service.storage import Storage
from tests.service import studies

BODY: dict[str, Any] = {
    "models": ["digits_cnn", "digits_mlp"],
    "datasets": ["digits"],
    "sparsifiers": ["dense", "random", "rigl"],
    "sparsities": [0.8, 0.9],
    "budget": studies.SMALL.model_dump(),
    "priority": 3,
}


def listed(client: TestClient, sweep: dict[str, Any]) -> list[dict[str, Any]]:
    page = client.get("/v1/studies", params={"sweep_id": sweep["id"], "limit": 200}).json()
    items: list[dict[str, Any]] = page["items"]
    return items


def test_every_combination_becomes_a_study(client: TestClient, storage: Storage) -> None:
    response = client.post("/v1/sweeps", json=BODY)
    assert response.status_code == 202
    sweep = response.json()
    assert client.get(response.headers["location"]).json() == sweep
    found = listed(client, sweep)
    methods = {(study["request"]["sparsifier"], study["request"]["sparsity"]) for study in found}
    assert methods == {
        ("dense", 0.0),
        *((name, sparsity) for name in ("random", "rigl") for sparsity in (0.8, 0.9)),
    }
    assert len(found) == 10 and {study["priority"] for study in found} == {3}
    assert sweep["progress"] == {
        "studies": 10,
        "by_state": {"queued": 10},
        "runs_planned": sum(study["plan"]["expected_runs"] for study in found),
        "runs_done": 0,
    }


def test_progress_is_shared(client: TestClient, storage: Storage) -> None:
    sweep = client.post("/v1/sweeps", json={**BODY, "sparsifiers": ["rigl"]}).json()
    studies.finish(storage)
    storage.studies.command(listed(client, sweep)[0]["id"], Command.CANCEL)
    progress = client.get(f"/v1/sweeps/{sweep['id']}").json()["progress"]
    assert progress["by_state"] == {"succeeded": 1, "cancelled": 1, "queued": 2}
    assert 0 < progress["runs_done"] < progress["runs_planned"]


def test_tuned_combinations_are_left_out_unless_forced(
    client: TestClient, storage: Storage
) -> None:
    studies.submit(storage, studies.request_for("rigl", 0.9))
    studies.finish(storage)
    body = {**BODY, "models": ["digits_cnn"], "sparsifiers": ["rigl"]}
    sweep = client.post("/v1/sweeps", json=body).json()
    [left_out] = sweep["left_out"]
    assert (left_out["sparsity"], left_out["reason"]) == (0.9, "already tuned at recipe digits@1")
    assert [study["request"]["sparsity"] for study in listed(client, sweep)] == [0.8]
    forced = client.post("/v1/sweeps", json={**body, "force": True}).json()
    assert (forced["left_out"], forced["progress"]["studies"]) == ([], 2)


def test_impossible_combinations_are_left_out_with_their_reason(client: TestClient) -> None:
    body = {**BODY, "models": ["digits_cnn", "resnet50"], "sparsifiers": ["random"]}
    sweep = client.post("/v1/sweeps", json=body).json()
    assert {combination["model"] for combination in sweep["left_out"]} == {"resnet50"}
    assert all(combination["reason"] for combination in sweep["left_out"])
    assert sweep["progress"]["studies"] == 2
    refused = client.post("/v1/sweeps", json={**body, "models": ["resnet50"]})
    assert refused.status_code == 422, "no combination is possible"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"models": ["digits_cn"]}, "model"),
        ({"models": []}, "models"),
        ({"sparsities": [1.5]}, "sparsity"),
        ({"sparsities": ["0.9"]}, "sparsities.0"),
        ({"sparsities": [n / 100 for n in range(100)], "models": ["digits_cnn"] * 6}, "models"),
    ],
)
def test_bad_sweep_names_the_field(
    client: TestClient, changes: dict[str, Any], field: str
) -> None:
    response = client.post("/v1/sweeps", json={**BODY, **changes})
    assert response.status_code == 422, response.json()
    assert response.json()["errors"][0]["field"] == field
    assert client.get("/v1/studies").json()["items"] == []


def test_tune_and_schedules_go_into_every_study(client: TestClient) -> None:
    choices = {"tune": ["learning_rate"], "alpha_schedule": "linear", "beta_schedule": "cosine"}
    sweep = client.post("/v1/sweeps", json={**BODY, **choices})
    assert sweep.status_code == 202
    queued = listed(client, sweep.json())
    assert queued
    for study in queued:
        assert {name: study["request"][name] for name in choices} == choices


def test_combinations_that_had_less_tuned_are_tuned_again(
    client: TestClient, storage: Storage
) -> None:
    body = {**BODY, "models": ["digits_cnn"], "sparsifiers": ["rigl"], "sparsities": [0.9]}
    joint = {**body, "tune": ["learning_rate"]}
    studies.submit(storage, studies.request_for("rigl", 0.9))
    studies.finish(storage)
    assert client.post("/v1/sweeps", json=joint).json()["progress"]["studies"] == 1
    studies.finish(storage)
    for one, several in ((body, 0), (joint, 0), ({**joint, "tune": ["weight_decay"]}, 1)):
        assert client.post("/v1/sweeps", json=one).json()["progress"]["studies"] == several
    linear = {**body, "alpha_schedule": "linear"}
    tuned = {**body, "tune": ["alpha_schedule"]}
    for one in (linear, tuned):
        assert client.post("/v1/sweeps", json=one).json()["progress"]["studies"] == 1
    for _ in range(3):  # the study that tunes weight decay is queued as well
        studies.finish(storage)
    for one, several in ((linear, 0), (tuned, 0), ({**body, "tune": ["beta_schedule"]}, 1)):
        assert client.post("/v1/sweeps", json=one).json()["progress"]["studies"] == several


def test_idempotency_key_returns_the_same_sweep(client: TestClient) -> None:
    headers = {"Idempotency-Key": "mine"}
    first, again = (client.post("/v1/sweeps", json=BODY, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    other = client.post("/v1/sweeps", json={**BODY, "priority": 0}, headers=headers)
    study = client.post("/v1/studies", json=studies.request_for().model_dump(), headers=headers)
    assert (other.status_code, study.status_code) == (409, 409)


def test_sweep_beyond_the_limit_queues_nothing(settings: Settings, storage: Storage) -> None:
    limited = Storage(storage.database, limits=Limits(max_queued_studies=9))
    with TestClient(create_app(settings, limited)) as client:
        response = client.post("/v1/sweeps", json=BODY)
        assert response.status_code == 429
        assert response.headers["retry-after"]
        assert client.get("/v1/studies").json()["items"] == []
        assert client.get("/v1/sweeps").json()["items"] == []


def test_pages_walk_every_sweep_once_newest_first(client: TestClient) -> None:
    body = {**BODY, "models": ["digits_cnn"], "sparsifiers": ["dense"]}
    ids = [client.post("/v1/sweeps", json=body).json()["id"] for _ in range(3)]
    first = client.get("/v1/sweeps", params={"limit": 2}).json()
    second = client.get("/v1/sweeps", params={"cursor": first["next_cursor"]}).json()
    assert [sweep["id"] for sweep in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None
