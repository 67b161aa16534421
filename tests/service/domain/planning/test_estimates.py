"""Estimates of a study's cost come from measured trainings, and say from which."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ham.client.records import Plan, Purpose, StoredMeasures
from ham.config import HamConfig
from service.domain.planning.estimates import estimate
from service.records import StudyLease
from service.storage import Storage
from tests.conftest import MovableClock
from tests.service.builders import a_job, a_plan, an_outcome, submit

LEASE = timedelta(hours=1)
EPOCHS = 3


def _claimed(storage: Storage, sparsifier: str = "random") -> StudyLease:
    submit(storage, sparsifier=sparsifier)
    claimed = storage.queue.claim("a", LEASE)
    assert claimed is not None
    return claimed[1]


def _train_together(
    storage: Storage, clock: MovableClock, claim: StudyLease, seeds: range, seconds: float
) -> None:
    """Begin trainings at once and end them at once."""
    jobs = [a_job(Purpose.SCREENING, seed=seed) for seed in seeds]
    runs = [storage.runs.begin(claim, job, EPOCHS) for job in jobs]
    clock.advance(seconds)
    measures = StoredMeasures.read({"cost": {"gpu_seconds": seconds / 4}})
    outcome = an_outcome(EPOCHS).model_copy(update={"seconds": seconds, "measures": measures})
    for run in runs:
        storage.runs.end(claim, run.id, outcome)


@pytest.fixture
def plan() -> Plan:
    return a_plan()


def test_without_comparable_trainings_the_estimate_is_a_reason(
    storage: Storage, plan: Plan
) -> None:
    found = estimate(plan, storage.runs)
    assert (found.wall_seconds, found.compute_seconds, found.gpu_hours) == (None, None, None)
    assert (found.basis, found.runs) == (None, 0)
    assert "No training of digits_cnn on digits" in found.message


def test_wall_time_is_that_of_trainings_side_by_side_without_pauses(
    storage: Storage, clock: MovableClock, plan: Plan
) -> None:
    claim = _claimed(storage)
    _train_together(storage, clock, claim, range(0, 4), seconds=6)
    clock.advance(1000)
    _train_together(storage, clock, claim, range(4, 8), seconds=6)
    found = estimate(plan, storage.runs)
    assert found.compute_seconds == pytest.approx(plan.expected_epochs * 2)
    assert found.wall_seconds == pytest.approx(plan.expected_epochs * 2 / 4)
    assert found.gpu_hours == pytest.approx(plan.expected_epochs * 2 / 4 / 3600)
    assert (found.basis, found.runs, found.environments) == ("combination", 8, ("torch 2",))


def test_the_most_similar_trainings_count(
    storage: Storage, clock: MovableClock, plan: Plan
) -> None:
    _train_together(storage, clock, _claimed(storage, "rigl"), range(2), seconds=30)
    assert estimate(plan, storage.runs).basis == "recipe"
    _train_together(storage, clock, _claimed(storage), range(1), seconds=6)
    assert estimate(plan, storage.runs).runs == 1
    assert estimate(a_plan(model="digits_mlp"), storage.runs).basis is None


def test_reused_runs_stand_for_the_training_that_they_repeat(
    storage: Storage, clock: MovableClock, plan: Plan
) -> None:
    _train_together(storage, clock, _claimed(storage), range(3), seconds=6)
    before = estimate(plan, storage.runs)
    later = _claimed(storage)
    for seed in range(3):
        job = a_job(Purpose.SCREENING, seed=seed)
        assert storage.runs.begin(later, job, EPOCHS, an_outcome().environment).reused_from
    assert estimate(plan, storage.runs) == before


def test_failed_trainings_do_not_count_for_the_pace(
    storage: Storage, clock: MovableClock, plan: Plan
) -> None:
    claim = _claimed(storage)
    run = storage.runs.begin(claim, a_job(setting=HamConfig(alpha=1, beta=1)), EPOCHS)
    storage.runs.end(claim, run.id, an_outcome().model_copy(update={"error": "diverged"}))
    assert estimate(plan, storage.runs).basis is None


def test_a_limit_that_will_bind_is_announced(
    storage: Storage, clock: MovableClock, plan: Plan
) -> None:
    _train_together(storage, clock, _claimed(storage), range(1), seconds=6)
    for seconds, binds in ((1.0, True), (1e6, False)):
        budget = plan.budget.model_copy(update={"max_seconds": seconds})
        found = estimate(plan.model_copy(update={"budget": budget}), storage.runs)
        assert ("will end the search early" in found.message) == binds
