"""Pareto fronts: stored in the transaction that ends their study; runs at several sparsities."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ham.client.records import (
    Budget,
    CombinationFilter,
    NewParetoFront,
    ParetoFront,
    ParetoPoint,
    Purpose,
    RunState,
    StudyState,
)
from ham.config import RECIPE_BASELINE
from service.errors import StaleLease
from service.records import Job, StudyLease
from service.storage import Storage
from tests.conftest import MovableClock
from tests.service.builders import SETTING, a_plan, a_result, claim, done_run, submit

LEASE = timedelta(seconds=15)


def a_pareto_front() -> NewParetoFront:
    point = ParetoPoint(
        combination=a_plan().combination,
        setting=SETTING,
        realised_sparsity=0.9,
        training_flops=None,
        inference_flops=None,
        validation_accuracy=0.9,
        test_accuracy=None,
        gain=None,
        gain_shown=False,
        seeds=(),
        failed_runs=0,
    )
    return NewParetoFront(
        objectives=("accuracy", "sparsity"), provisional=True, points=(point,), message="One."
    )


def submit_pareto_study(storage: Storage, sparsifier: str = "random") -> str:
    return submit(
        storage,
        sparsifier=sparsifier,
        sparsity=0.0,
        objectives=("accuracy", "sparsity"),
        sparsities=(0.5, 0.9),
        budget=Budget(),
    )


def test_a_front_ends_its_study_and_is_no_recommendation(
    storage: Storage, clock: MovableClock
) -> None:
    study_id = submit_pareto_study(storage)
    _, lease = claim(storage, "a", LEASE)
    assert storage.pareto_fronts.of_study(study_id) is None
    stored = storage.queue.succeed_with_pareto_front(lease, a_pareto_front())
    assert stored == ParetoFront(**dict(a_pareto_front()), study_id=study_id, created_at=clock.now)
    assert storage.pareto_fronts.of_study(study_id) == stored
    assert storage.studies.get(study_id).state == StudyState.SUCCEEDED
    assert storage.recommendations.of_study(study_id) is None
    assert storage.recommendations.latest() == []
    assert storage.recommendations.benchmarks() == []
    with pytest.raises(StaleLease):
        storage.queue.succeed_with_pareto_front(lease, a_pareto_front())


def test_a_runner_that_lost_its_lease_stores_no_front(
    storage: Storage, clock: MovableClock
) -> None:
    study_id = submit_pareto_study(storage)
    _, stale = claim(storage, "a", LEASE)
    clock.advance(60)
    storage.queue.claim("b", LEASE)
    with pytest.raises(StaleLease):
        storage.queue.succeed_with_pareto_front(stale, a_pareto_front())
    assert storage.pareto_fronts.of_study(study_id) is None
    assert storage.studies.get(study_id).state == StudyState.RUNNING


def test_fronts_are_listed_newest_first_in_pages(storage: Storage) -> None:
    ids = []
    for sparsifier in ("random", "rigl", "random"):
        ids.append(submit_pareto_study(storage, sparsifier))
        _, lease = claim(storage, "a", LEASE)
        storage.queue.succeed_with_pareto_front(lease, a_pareto_front())
    assert [front.study_id for front in storage.pareto_fronts.list()] == ids[::-1]
    assert [front.study_id for front in storage.pareto_fronts.list(limit=1, before=ids[2])] == [
        ids[1]
    ]
    random = CombinationFilter(sparsifier="random", sparsity=0.9)
    assert [front.study_id for front in storage.pareto_fronts.list(random)] == [ids[2], ids[0]]


def test_a_run_belongs_to_the_combination_at_its_own_sparsity(storage: Storage) -> None:
    submit_pareto_study(storage)
    study, lease = claim(storage, "a", LEASE)
    for level in (0.5, 0.9):
        job = Job(purpose=Purpose.SCREENING, setting=RECIPE_BASELINE, seed=1, sparsity=level)
        run = done_run(storage, lease, job)
        assert (run.sparsity, run.combination) == (level, study.plan.combination_at(level).key)
        assert done_run_again(storage, lease, job) == run.id
        [found] = storage.runs.page(which=CombinationFilter(sparsity=level))
        assert found == run
    assert len(storage.runs.of_study(study.id)) == 2


def done_run_again(storage: Storage, lease: StudyLease, job: Job) -> str:
    return storage.runs.begin(lease, job, epochs=3).id


def test_a_trial_restarted_at_another_sparsity_changes_its_combination(
    storage: Storage,
) -> None:
    submit_pareto_study(storage)
    _, lease = claim(storage, "a", LEASE)
    for epochs, level in ((15, 0.5), (30, 0.9)):
        job = Job(purpose=Purpose.SEARCH, setting=SETTING, seed=0, trial_number=0, sparsity=level)
        run = storage.runs.begin(lease, job, epochs)
        assert (run.sparsity, run.epochs, run.state) == (level, epochs, RunState.RUNNING)
    assert run.attempt == 2


def test_cost_of_a_recommendation_is_of_all_trainings_of_its_combination(
    storage: Storage,
) -> None:
    """A study of several sparsities counts towards the cost of each combination, not of one."""
    submit_pareto_study(storage)
    _, lease = claim(storage, "a", LEASE)
    for level in (0.5, 0.9, 0.9):
        seed = len(storage.runs.of_study(lease.study_id))
        job = Job(purpose=Purpose.SCREENING, setting=RECIPE_BASELINE, seed=seed, sparsity=level)
        done_run(storage, lease, job)
    storage.queue.succeed_with_pareto_front(lease, a_pareto_front())
    costs = {}
    for level in (0.5, 0.9):
        submit(storage, sparsity=level)
        _, lease = claim(storage, "a", LEASE)
        costs[level] = storage.queue.succeed(lease, a_result()).cost.seconds
    assert costs == {0.5: 1.5, 0.9: 3.0}


def test_job_names_differ_by_sparsity_and_are_unchanged_without_it() -> None:
    plain = Job(purpose=Purpose.SCREENING, setting=SETTING, seed=1)
    assert plain.name == "screening/20.0,0.01/1"
    names = {plain.model_copy(update={"sparsity": level}).name for level in (None, 0.5, 0.9)}
    assert len(names) == 3
