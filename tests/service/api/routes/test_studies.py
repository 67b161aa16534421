"""Submitting, planning, listing and showing studies."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from fastapi.testclient import TestClient

from ham.client.records import Budget, Purpose
from service.storage import Storage
from tests.service import studies

BODY = {"model": "digits_cnn", "dataset": "digits", "sparsifier": "random", "sparsity": 0.9}


def test_submission_answers_202_with_the_address_of_the_queued_study(client: TestClient) -> None:
    response = client.post("/v1/studies", json=BODY)
    assert response.status_code == 202
    study = response.json()
    assert response.headers["location"] == f"/v1/studies/{study['id']}"
    assert study["state"] == "queued"
    assert study["plan"]["combination"] == {**BODY, "optimizer": "sgd", "recipe": "digits@1"}
    assert study["progress"]["search"] == {"done": 0, "planned": Budget().trials}
    assert client.get(response.headers["location"]).json() == study


def test_plan_of_a_request_queues_nothing(client: TestClient) -> None:
    plan = client.post("/v1/studies/plan", json={**BODY, "budget": {"trials": 5}}).json()
    assert plan["budget"]["trials"] == 5
    assert plan["expected_epochs"] == plan["expected_runs"] * plan["recipe"]["epochs"]
    assert client.get("/v1/studies").json()["items"] == []


def test_plan_of_joint_tuning_searches_both_branches(client: TestClient) -> None:
    plain = client.post("/v1/studies/plan", json=BODY).json()
    joint = {**BODY, "tune": ["weight_decay", "learning_rate"], "beta_schedule": "cosine"}
    plan = client.post("/v1/studies/plan", json=joint).json()
    assert (plain["space"]["tune"], plan["space"]["tune"]) == (
        [],
        ["learning_rate", "weight_decay"],
    )
    assert plan["space"]["learning_rate"]["low"] < 1 < plan["space"]["learning_rate"]["high"]
    assert plan["space"]["beta_schedule"] == "cosine"
    seeds = Budget().screening_seeds
    baselines = 2 * (seeds + Budget().confirmation_seeds)  # they run once, whatever the branches
    assert plan["expected_runs"] - baselines == 2 * (plain["expected_runs"] - baselines)
    study = client.post("/v1/studies", json=joint).json()
    assert study["progress"]["search"] == {"done": 0, "planned": 2 * Budget().trials}
    spaces = client.get("/v1/search-spaces").json()["items"]
    own = next(space for space in spaces if space["id"] == f"{plan['space']['name']}@3")
    assert own["weight_decay"] == plan["space"]["weight_decay"]
    assert own["schedules"] == ["constant", "linear", "cosine"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"tune": ["momentum"]},
        {"tune": "learning_rate"},
        {"alpha_schedule": "step"},
        {"alpha_schedule": "linear", "tune": ["alpha_schedule"]},
    ],
    ids=str,
)
def test_values_that_cannot_be_tuned_are_refused_by_field(
    client: TestClient, wrong: dict[str, object]
) -> None:
    response = client.post("/v1/studies/plan", json={**BODY, **wrong})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"].startswith(next(iter(wrong)))


def test_same_key_and_body_give_the_same_study(client: TestClient) -> None:
    headers = {"Idempotency-Key": "mine"}
    first = client.post("/v1/studies", json=BODY, headers=headers)
    again = client.post("/v1/studies", json=BODY, headers=headers)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]


def test_same_key_with_another_body_is_a_conflict(client: TestClient) -> None:
    headers = {"Idempotency-Key": "mine"}
    first = client.post("/v1/studies", json=BODY, headers=headers).json()
    response = client.post("/v1/studies", json={**BODY, "sparsity": 0.8}, headers=headers)
    assert response.status_code == 409
    assert first["id"] in response.json()["detail"]


def test_no_key_gives_a_new_study_each_time(client: TestClient) -> None:
    ids = {client.post("/v1/studies", json=BODY).json()["id"] for _ in range(3)}
    assert len(ids) == 3


def test_one_key_sent_by_many_at_once_makes_one_study(url: str) -> None:
    def send(_: int) -> tuple[int, str]:
        headers = {"Idempotency-Key": "at once"}
        response = httpx2.post(f"{url}/v1/studies", json=BODY, headers=headers, timeout=30)
        return response.status_code, response.json()["id"]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(16)))
    assert len({id for _, id in answers}) == 1
    assert sorted(status for status, _ in answers) == [200] * 15 + [202]
    assert len(httpx2.get(f"{url}/v1/studies").json()["items"]) == 1


def test_pages_walk_every_study_once_newest_first(client: TestClient, storage: Storage) -> None:
    ids = [studies.submit(storage, studies.request_for()).id for _ in range(7)]
    walked: list[str] = []
    cursor, sizes = None, []
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/studies", params=query).json()
        walked += [study["id"] for study in page["items"]]
        sizes.append(len(page["items"]))
        if (cursor := page["next_cursor"]) is None:
            break
    assert walked == ids[::-1]
    assert sizes == [3, 3, 1]


def test_last_page_that_is_full_has_no_next(client: TestClient, storage: Storage) -> None:
    for _ in range(3):
        studies.submit(storage, studies.request_for())
    assert client.get("/v1/studies", params={"limit": 3}).json()["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"sparsifier": "rigl"}, {"rigl"}),
        ({"state": "running"}, {"dense"}),
        ({"state": "queued"}, {"rigl", "random"}),
        ({"state": "queued", "sparsity": 0.8}, {"random"}),
        ({"recipe": "digits@7"}, set()),
    ],
)
def test_filters_select_matching_studies(
    client: TestClient, storage: Storage, query: dict[str, str], expected: set[str]
) -> None:
    studies.submit(storage, studies.request_for("dense", 0.0))
    studies.claim(storage)
    studies.submit(storage, studies.request_for("rigl", 0.9))
    studies.submit(storage, studies.request_for("random", 0.8))
    items = client.get("/v1/studies", params=query).json()["items"]
    assert {study["request"]["sparsifier"] for study in items} == expected


def test_trials_are_the_runs_of_the_search(client: TestClient, storage: Storage) -> None:
    id = studies.submit(storage, studies.request_for()).id
    studies.finish(storage)
    trials = client.get(f"/v1/studies/{id}/trials").json()["items"]
    assert [run["trial_number"] for run in trials] == [0, 1, 2, 3]
    assert all(run["test_accuracy"] is None for run in trials)
    runs = client.get(f"/v1/studies/{id}/runs").json()["items"]
    by_purpose = {
        purpose.value: client.get(f"/v1/studies/{id}/runs", params={"purpose": purpose}).json()
        for purpose in Purpose
    }
    assert sum(len(page["items"]) for page in by_purpose.values()) == len(runs)
    assert by_purpose["search"]["items"] == trials


def test_progress_counts_the_runs_of_a_running_study(client: TestClient, storage: Storage) -> None:
    study = studies.submit(storage, studies.request_for())
    _, lease = studies.claim(storage)
    studies.search(storage, study, lease, 3)
    progress = client.get(f"/v1/studies/{study.id}").json()["progress"]
    assert progress["search"] == {"done": 3, "planned": 4}
    assert progress["best_validation_accuracy"] == pytest.approx(0.905, abs=0.002)
    assert progress["remaining_seconds"] > 0


@pytest.mark.parametrize(
    "path", ["/v1/studies/{}", "/v1/studies/{}/trials", "/v1/studies/{}/runs"]
)
def test_unknown_study_is_404_that_says_where_to_look(client: TestClient, path: str) -> None:
    response = client.get(path.format("study_" + "0" * 26))
    assert response.status_code == 404
    assert "GET /v1/studies lists" in response.json()["detail"]
