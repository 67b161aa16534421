"""Cancel, pause, resume, drain, change and re-run over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

from ham.client.records import Purpose
from search_spaces import SearchSpace
from service.domain.planning.plans import resolve
from service.domain.search.stages import baseline_jobs
from service.storage import Storage
from tests.service import studies


@pytest.fixture
def study_id(storage: Storage) -> str:
    return studies.submit(storage, studies.request_for()).id


def post(client: TestClient, study_id: str, verb: str, **body: Any) -> Any:
    return client.post(f"/v1/studies/{study_id}/{verb}", json=body or None)


def test_life_of_a_study_by_command(client: TestClient, storage: Storage, study_id: str) -> None:
    assert post(client, study_id, "pause").json()["state"] == "paused"
    assert post(client, study_id, "pause").json()["state"] == "paused", (
        "a second pause changes nothing"
    )
    assert post(client, study_id, "resume").json()["state"] == "queued"
    studies.claim(storage)
    assert post(client, study_id, "pause").json()["state"] == "pausing"
    assert post(client, study_id, "resume").json()["state"] == "running"
    assert post(client, study_id, "drain").json()["state"] == "draining"
    ended = post(client, study_id, "cancel", reason="not needed any more").json()
    assert (ended["state"], ended["error"]) == ("cancelled", "not needed any more")
    for verb in ("pause", "resume"):
        refused = post(client, study_id, verb)
        assert refused.status_code == 409
        assert "is cancelled" in refused.json()["detail"]


def test_study_keeps_the_version_of_its_search_space(client: TestClient, storage: Storage) -> None:
    """The files have the newest version only, and a re-run searches that one."""
    request = studies.request_for("rigl")
    today = resolve(request)
    older = replace(today.space, version=1, beta=replace(today.space.beta, high=0.1))
    plan = today.model_copy(update={"space": older})
    study = storage.studies.submit(request, plan)[0]
    answered = client.get(f"/v1/studies/{study.id}").json()["plan"]["space"]
    space = TypeAdapter(SearchSpace).validate_python
    assert space(answered) == older != today.space
    assert f"{older.id}: alpha 1 to 400, or 0," in client.get(f"/studies/{study.id}").text
    again = client.post(f"/v1/studies/{study.id}/rerun").json()["plan"]["space"]
    assert space(again) == today.space


def test_priority_and_budget_change_while_it_runs(
    client: TestClient, storage: Storage, study_id: str
) -> None:
    _, lease = studies.claim(storage)
    body = {"priority": 7, "budget": {"trials": 6, "confirmation_seeds": 5}}
    changed = client.patch(f"/v1/studies/{study_id}", json=body).json()
    assert changed["priority"] == 7
    plan = changed["plan"]
    assert (plan["budget"]["trials"], len(plan["confirmation_seeds"])) == (6, 5)
    assert changed["request"]["budget"]["trials"] == studies.SMALL.trials, (
        "the request stays as submitted"
    )
    assert storage.queue.control_flags(lease).plan.budget.trials == 6
    assert changed["progress"]["search"]["planned"] == 6


def test_budget_of_a_stage_that_has_begun_stays(
    client: TestClient, storage: Storage, study_id: str
) -> None:
    study, lease = studies.claim(storage)
    studies.search(storage, study, lease, 2)
    studies.train(storage, lease, baseline_jobs(study.plan, Purpose.SCREENING)[0], 0.9)

    def change(**budget: int) -> int:
        return client.patch(f"/v1/studies/{study_id}", json={"budget": budget}).status_code

    assert change(screening_seeds=9) == 409
    assert change(screening_seeds=studies.SMALL.screening_seeds) == 200, (
        "the same number is no change"
    )
    assert change(trials=3, finalists=1) == 200, "baselines do not depend on the search"
    studies.train(storage, lease, baseline_jobs(study.plan, Purpose.CONFIRMATION)[0], 0.9)
    assert change(confirmation_seeds=9) == 409


def test_rerun_submits_the_same_request_as_a_new_study(
    client: TestClient, storage: Storage, study_id: str
) -> None:
    headers = {"Idempotency-Key": "again"}
    first, second = (
        client.post(f"/v1/studies/{study_id}/rerun", headers=headers) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["id"] == second.json()["id"] != study_id
    assert first.json()["request"] == client.get(f"/v1/studies/{study_id}").json()["request"]


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "drain", "rerun"])
def test_command_on_an_unknown_study_is_404(client: TestClient, verb: str) -> None:
    assert post(client, "study_" + "0" * 26, verb).status_code == 404
