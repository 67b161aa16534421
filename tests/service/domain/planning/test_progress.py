"""Progress: counted from the runs, stage by stage."""

from __future__ import annotations

from datetime import timedelta

from ham.client.records import Progress, Purpose
from service.domain.planning.progress import progress_of
from service.records import Outcome
from service.storage import Storage
from tests.conftest import MovableClock
from tests.service.builders import SMALL, a_job, a_result, claim, done_run, submit

LEASE = timedelta(seconds=1000)


def progress(storage: Storage, study_id: str, clock: MovableClock) -> Progress:
    study = storage.studies.get(study_id)
    return progress_of(storage.run_counts, [study], clock.now)[study_id]


def test_queued_study_has_done_nothing_of_what_is_planned(
    storage: Storage, clock: MovableClock
) -> None:
    now = progress(storage, submit(storage), clock)
    assert (now.search.planned, now.screening.planned, now.confirmation.planned) == (
        SMALL.trials,
        (SMALL.finalists + 2) * SMALL.screening_seeds,
        3 * SMALL.confirmation_seeds,
    )
    assert (now.done, now.running, now.failed) == (0, 0, 0)
    assert (now.elapsed_seconds, now.remaining_seconds) == (None, None)
    assert (now.best_setting, now.best_validation_accuracy) == (None, None)


def test_running_study_counts_what_is_done_and_what_is_left(
    storage: Storage, clock: MovableClock
) -> None:
    study_id = submit(storage)
    _, lease = claim(storage, "a", LEASE)
    best = done_run(storage, lease, a_job(trial_number=0), 0.9)
    diverged = storage.runs.begin(lease, a_job(trial_number=1), 3)
    storage.runs.end(lease, diverged.id, Outcome(error="diverged"))
    storage.runs.begin(lease, a_job(Purpose.SCREENING, seed=1000), 3)
    clock.advance(20)
    now = progress(storage, study_id, clock)
    assert (now.search.done, now.screening.done, now.confirmation.done) == (2, 0, 0)
    assert (now.running, now.failed) == (1, 1)
    assert (now.best_setting, now.best_validation_accuracy) == (best.setting, 0.9)
    assert now.elapsed_seconds == 20
    assert now.planned == 14
    assert now.remaining_seconds == 20 / 2 * 12, "at the pace so far"


def test_ended_study_has_nothing_left(storage: Storage, clock: MovableClock) -> None:
    study_id = submit(storage)
    _, lease = claim(storage, "a", LEASE)
    done_run(storage, lease, a_job())
    clock.advance(20)
    storage.queue.succeed(lease, a_result())
    clock.advance(1000)
    now = progress(storage, study_id, clock)
    assert now.done == now.planned == 1, "it needed fewer than planned"
    assert (now.elapsed_seconds, now.remaining_seconds, now.running) == (20, None, 0)


def test_progress_of_many_studies_does_not_mix_them(storage: Storage, clock: MovableClock) -> None:
    ids = [submit(storage) for _ in range(3)]
    _, lease = claim(storage, "a", LEASE)
    done_run(storage, lease, a_job())
    all_of_them = progress_of(storage.run_counts, storage.studies.list(), clock.now)
    assert {study_id: now.done for study_id, now in all_of_them.items()} == dict(
        zip(ids, (1, 0, 0), strict=True)
    )
