"""Runs: begun once, ended once, never changed, and counted correctly."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError

from ham.client.records import Purpose, RunState
from ham.config import RECIPE_BASELINE, HamConfig
from service.errors import NotFound, StaleLease
from service.records import Job, Outcome, RunCount, StudyLease, StudyRunCounts
from service.storage import Storage
from tests.conftest import MovableClock
from tests.service.builders import SETTING, a_job, an_outcome, claim, done_run, metrics, submit

LEASE = timedelta(seconds=15)
EPOCHS = 3


@pytest.fixture
def lease(storage: Storage) -> StudyLease:
    """A claimed study."""
    submit(storage)
    return claim(storage, "a", LEASE)[1]


def test_begin_stores_the_job(storage: Storage, lease: StudyLease, clock: MovableClock) -> None:
    job = a_job(Purpose.CONFIRMATION, seed=2001)
    run = storage.runs.begin(lease, job, EPOCHS)
    study = storage.studies.get(lease.study_id)
    assert (run.study_id, run.combination) == (study.id, study.plan.combination.key)
    assert (run.purpose, run.setting, run.seed) == (job.purpose, job.setting, job.seed)
    assert (run.state, run.epochs, run.epochs_done) == (RunState.RUNNING, EPOCHS, 0)
    assert (run.attempt, run.started_at, run.ended_at) == (1, clock.now, None)
    assert storage.runs.get(run.id) == run


def test_begin_again_restarts_the_same_run(
    storage: Storage, lease: StudyLease, clock: MovableClock
) -> None:
    first = storage.runs.begin(lease, a_job(), EPOCHS)
    storage.runs.progress(lease, first.id, metrics(2, 0.7))
    clock.advance(5)
    again = storage.runs.begin(lease, a_job(setting=HamConfig(alpha=7, beta=0)), EPOCHS)
    assert (again.id, again.attempt) == (first.id, 2)
    assert (again.epochs_done, again.validation_accuracy) == (0, None)
    assert again.started_at == clock.now
    assert again.setting == HamConfig(alpha=7, beta=0), (
        "a search trial is one job whatever it tries"
    )
    assert storage.runs.of_study(lease.study_id) == [again]


@pytest.mark.parametrize("outcome", [an_outcome(EPOCHS), Outcome(error="diverged: loss is nan")])
def test_ended_run_never_changes(
    storage: Storage, lease: StudyLease, clock: MovableClock, outcome: Outcome
) -> None:
    run = storage.runs.begin(lease, a_job(), EPOCHS)
    ended = storage.runs.end(lease, run.id, outcome)
    curve = storage.runs.curve(run.id)
    clock.advance(5)
    assert storage.runs.begin(lease, a_job(setting=RECIPE_BASELINE), EPOCHS) == ended
    with pytest.raises(StaleLease):
        storage.runs.progress(lease, run.id, metrics(1))
    with pytest.raises(StaleLease):
        storage.runs.end(lease, run.id, Outcome(error="again"))
    assert storage.runs.get(run.id) == ended
    assert storage.runs.curve(run.id) == curve


def test_jobs_differ_by_purpose_configuration_and_seed(
    storage: Storage, lease: StudyLease
) -> None:
    jobs = [
        Job(purpose=purpose, setting=setting, seed=seed)
        for purpose in (Purpose.SCREENING, Purpose.CONFIRMATION)
        for setting in (SETTING, RECIPE_BASELINE, replace(RECIPE_BASELINE, learning_rate=2.0))
        for seed in (1, 2)
    ]
    jobs += [a_job(trial_number=0), a_job(trial_number=1)]
    ids = [storage.runs.begin(lease, job, EPOCHS).id for job in jobs]
    assert len(set(ids)) == len(jobs)
    assert [run.id for run in storage.runs.of_study(lease.study_id)] == ids, "oldest first"
    screening = storage.runs.of_study(lease.study_id, Purpose.SCREENING)
    assert [run.id for run in screening] == ids[:6]


def test_same_job_of_another_study_is_another_run(storage: Storage, lease: StudyLease) -> None:
    submit(storage)
    _, other = claim(storage, "b", LEASE)
    mine, theirs = (storage.runs.begin(held, a_job(), EPOCHS) for held in (lease, other))
    assert mine.id != theirs.id


def test_end_stores_the_outcome_and_the_curve(
    storage: Storage, lease: StudyLease, clock: MovableClock
) -> None:
    run = storage.runs.begin(lease, a_job(Purpose.CONFIRMATION, seed=2000), EPOCHS)
    outcome = an_outcome(EPOCHS, 0.9, test=0.88)
    clock.advance(5)
    ended = storage.runs.end(lease, run.id, outcome)
    stored = ended.model_dump(include=set(Outcome.model_fields) - {"curve", "pruned"})
    assert stored == outcome.model_dump(exclude={"curve", "pruned", "traceback"})
    assert (ended.state, ended.epochs_done) == (RunState.SUCCEEDED, EPOCHS)
    assert (ended.started_at, ended.ended_at) == (run.started_at, clock.now)
    assert storage.runs.get(run.id) == ended
    assert storage.runs.curve(run.id) == list(outcome.curve)


def test_failed_run_keeps_its_epochs_and_its_reason(storage: Storage, lease: StudyLease) -> None:
    run = storage.runs.begin(lease, a_job(), EPOCHS)
    ended = storage.runs.end(lease, run.id, Outcome(error="diverged", curve=(metrics(1),)))
    assert (ended.state, ended.error, ended.epochs_done) == (RunState.FAILED, "diverged", 1)
    assert ended.validation_accuracy is None


@pytest.mark.parametrize(
    "outcome",
    [an_outcome(EPOCHS - 1), Outcome(curve=an_outcome(EPOCHS).curve)],
    ids=["too short", "no accuracy"],
)
def test_incomplete_run_cannot_succeed(
    storage: Storage, lease: StudyLease, outcome: Outcome
) -> None:
    run = storage.runs.begin(lease, a_job(), EPOCHS)
    with pytest.raises(IntegrityError, match="succeeded_is_complete"):
        storage.runs.end(lease, run.id, outcome)
    assert storage.runs.get(run.id) == run, "nothing was written"
    assert storage.runs.curve(run.id) == []


@pytest.mark.parametrize("purpose", [Purpose.SEARCH, Purpose.SCREENING])
def test_test_accuracy_belongs_to_the_confirmation_only(
    storage: Storage, lease: StudyLease, purpose: Purpose
) -> None:
    run = storage.runs.begin(lease, a_job(purpose), EPOCHS)
    with pytest.raises(IntegrityError, match="test_only_in_confirmation"):
        storage.runs.end(lease, run.id, an_outcome(EPOCHS, test=0.9))
    assert storage.runs.get(run.id) == run


def test_progress_changes_only_the_newest_metric(storage: Storage, lease: StudyLease) -> None:
    run = storage.runs.begin(lease, a_job(), EPOCHS)
    storage.runs.progress(lease, run.id, metrics(2, 0.7))
    now = storage.runs.get(run.id)
    assert now == run.model_copy(update={"epochs_done": 2, "validation_accuracy": 0.7})
    assert storage.runs.curve(run.id) == []


def test_records_are_copies_that_later_writes_do_not_change(
    storage: Storage, lease: StudyLease
) -> None:
    study, run = storage.studies.get(lease.study_id), storage.runs.begin(lease, a_job(), EPOCHS)
    before = study.model_dump_json(), run.model_dump_json()
    storage.runs.end(lease, run.id, an_outcome(EPOCHS))
    storage.queue.fail(lease, "no")
    assert (study.model_dump_json(), run.model_dump_json()) == before


def test_unknown_run_is_not_found(storage: Storage) -> None:
    for read in (storage.runs.get, storage.runs.curve):
        with pytest.raises(NotFound, match="run_none"):
            read("run_none")
    assert storage.runs.of_study("study_none") == []


def counts_of(storage: Storage, study_id: str) -> StudyRunCounts:
    return storage.run_counts.of([storage.studies.get(study_id)])[study_id]


def test_counts_are_by_study_purpose_and_state(
    storage: Storage, lease: StudyLease, clock: MovableClock
) -> None:
    began = clock()
    study_id, other_id = lease.study_id, submit(storage)
    _, other = claim(storage, "b", LEASE)
    for number in range(3):
        done_run(storage, lease, a_job(trial_number=number))
        clock.advance(1)
    storage.runs.begin(lease, a_job(trial_number=3), EPOCHS)
    later = clock()
    done_run(storage, other, a_job(Purpose.SCREENING, seed=1000))
    failing = storage.runs.begin(other, a_job(), EPOCHS)
    storage.runs.end(other, failing.id, Outcome(error="diverged"))
    mine = {
        RunCount(study_id, Purpose.SEARCH, RunState.SUCCEEDED, 3, began),
        RunCount(study_id, Purpose.SEARCH, RunState.RUNNING, 1, later),
    }
    others = {
        RunCount(other_id, Purpose.SCREENING, RunState.SUCCEEDED, 1, later),
        RunCount(other_id, Purpose.SEARCH, RunState.FAILED, 1, later),
    }
    both = storage.run_counts.of([storage.studies.get(id) for id in (study_id, other_id)])
    assert {id: set(found.counts) for id, found in both.items()} == {
        study_id: mine,
        other_id: others,
    }
    assert counts_of(storage, other_id) == both[other_id]
    assert storage.run_counts.of([]) == {}


def test_run_counts_follow_a_study_and_are_cached_once_it_ends(
    storage: Storage, lease: StudyLease
) -> None:
    assert counts_of(storage, lease.study_id) == ((), None)
    run = done_run(storage, lease, a_job(trial_number=0))
    (count,), best = counts_of(storage, lease.study_id)
    assert (count.runs, best and best.run_id) == (1, run.id)
    storage.runs.begin(lease, a_job(trial_number=1), EPOCHS)
    storage.queue.fail(lease, "enough")
    states = {count.state: count.runs for count in counts_of(storage, lease.study_id).counts}
    assert states == {RunState.SUCCEEDED: 1, RunState.CANCELLED: 1}
    ended = storage.studies.get(lease.study_id)
    statements: list[str] = []
    event.listen(
        storage.database.engine,
        "before_cursor_execute",
        lambda *arguments: statements.append(arguments[2]),
    )
    assert storage.run_counts.of([ended])[ended.id].best == best
    assert statements == []


def test_best_run_is_a_succeeded_search_run(storage: Storage, lease: StudyLease) -> None:
    submit(storage)
    _, other = claim(storage, "b", LEASE)
    accuracies = [0.5, 0.8, 0.8, 0.6]
    search = [
        done_run(storage, lease, a_job(trial_number=number), accuracy)
        for number, accuracy in enumerate(accuracies)
    ]
    done_run(storage, lease, a_job(Purpose.SCREENING, seed=1000), 0.99)
    running = storage.runs.begin(lease, a_job(trial_number=9), EPOCHS)
    storage.runs.progress(lease, running.id, metrics(1, 0.95))
    diverged = storage.runs.begin(lease, a_job(trial_number=10), EPOCHS)
    storage.runs.end(lease, diverged.id, Outcome(validation_accuracy=0.97, error="diverged"))
    earliest = (lease.study_id, search[1].id, search[1].setting, 0.8)
    assert counts_of(storage, lease.study_id).best == earliest, "the earliest of equally good ones"
    assert counts_of(storage, other.study_id).best is None


def test_a_pruned_run_keeps_its_epochs_and_is_never_the_best(
    storage: Storage, lease: StudyLease
) -> None:
    full, weak = (
        storage.runs.begin(lease, a_job(trial_number=number), EPOCHS) for number in (0, 1)
    )
    storage.runs.end(lease, full.id, an_outcome(EPOCHS, 0.6))
    pruned = storage.runs.end(
        lease, weak.id, an_outcome(1, 0.9).model_copy(update={"pruned": True})
    )
    assert (pruned.state, pruned.epochs_done, pruned.epochs) == (RunState.PRUNED, 1, EPOCHS)
    assert [point.epoch for point in storage.runs.curve(weak.id)] == [1]
    best = counts_of(storage, lease.study_id).best
    assert best is not None and best.run_id == full.id
