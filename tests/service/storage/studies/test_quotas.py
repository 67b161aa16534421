"""Quotas: costs add up from runs to studies to recommendations, and limits of keys hold."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ham.client.records import Cost, StoredMeasures
from service.errors import LimitReached
from service.records import Limits, Scope, StudyLease
from service.storage import Storage
from service.storage.studies.quotas import WINDOW
from tests.conftest import MovableClock
from tests.service.builders import a_job, a_plan, a_request, a_result, an_outcome, submit

LEASE = timedelta(minutes=5)


def claim(storage: Storage) -> StudyLease | None:
    claimed = storage.queue.claim("me", LEASE)
    return claimed and claimed[1]


def train(
    storage: Storage, lease: StudyLease | None, trial: int, gpu_seconds: float | None
) -> None:
    assert lease is not None
    outcome = an_outcome(3)
    if gpu_seconds is not None:
        measures = StoredMeasures.read({"cost": {"gpu_seconds": gpu_seconds}})
        outcome = outcome.model_copy(update={"measures": measures})
    run = storage.runs.begin(lease, a_job(trial_number=trial), 3)
    assert storage.runs.end(lease, run.id, outcome).gpu_seconds == gpu_seconds


def test_cost_adds_up_from_runs_to_studies_to_recommendations(storage: Storage) -> None:
    costs = []
    for gpu_seconds in (None, 10.0):
        study_id = submit(storage)
        lease = claim(storage)
        train(storage, lease, 0, gpu_seconds)
        train(storage, lease, 1, gpu_seconds)
        assert lease is not None
        costs.append(storage.queue.succeed(lease, a_result()).cost)
        study = storage.studies.get(study_id)
        assert study.cost == Cost(seconds=3.0, gpu_seconds=2 * (gpu_seconds or 0))
    assert costs == [Cost(seconds=3.0, gpu_seconds=0.0), Cost(seconds=6.0, gpu_seconds=20.0)]
    [newest] = storage.recommendations.latest()
    assert newest.cost == costs[1]


def test_key_has_limits_of_its_own(storage: Storage) -> None:
    limited = Storage(storage.database, limits=Limits(max_queued_studies=1))
    ada, _ = limited.keys.create("ada", Scope.SUBMIT, Limits(max_queued_studies=3))
    ben, _ = limited.keys.create("ben", Scope.SUBMIT)
    for key, most in ((ada, 3), (ben, 1)):
        for _ in range(most):
            limited.studies.submit(a_request(), a_plan(), submitter=key.id)
        with pytest.raises(LimitReached, match=f"at most {most} are allowed"):
            limited.studies.submit(a_request(), a_plan(), submitter=key.id)
    assert [key.limits.max_queued_studies for key in limited.keys.list()] == [3, None]


def test_studies_wait_while_the_gpu_hours_are_used_up(
    storage: Storage, clock: MovableClock
) -> None:
    ada, _ = storage.keys.create("ada", Scope.SUBMIT, Limits(gpu_hours=1.0))
    for _ in range(2):
        storage.studies.submit(a_request(), a_plan(), submitter=ada.id)
    first = claim(storage)
    train(storage, first, 0, 3600.0)
    with pytest.raises(LimitReached, match="1 GPU hours") as refused:
        storage.studies.submit(a_request(), a_plan(), submitter=ada.id)
    assert refused.value.retry_after > 60
    assert claim(storage) is None, "a queued study is not claimed"
    submit(storage)
    assert claim(storage) is not None, "other submitters are not held back"
    train(storage, first, 1, 3600.0)
    assert first is not None
    storage.queue.succeed(first, a_result())
    clock.advance(WINDOW.total_seconds() + 1)
    storage.studies.submit(a_request(), a_plan(), submitter=ada.id)
    assert claim(storage) is not None
