"""Commands of people to studies, and fair shares of the queue."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import NoReturn

import pytest

from ham.client.records import Command, RunState, Study, StudyState
from service.domain.planning.plans import resolve
from service.errors import Conflict, LimitReached, NotFound, StaleLease
from service.records import Limits, StudyLease
from service.storage import Storage
from service.storage.studies.idempotency import LIFETIME
from tests.conftest import MovableClock
from tests.service.builders import a_job, a_plan, a_request, done_run, submit

LEASE = timedelta(seconds=15)


def claim(storage: Storage) -> tuple[str, StudyLease]:
    submit(storage)
    claimed = storage.queue.claim("a", LEASE)
    assert claimed is not None
    return claimed[0].id, claimed[1]


def test_cancel_ends_study_and_runs_at_once_and_refuses_its_runner(storage: Storage) -> None:
    study_id, lease = claim(storage)
    finished = done_run(storage, lease, a_job(trial_number=0))
    under_way = storage.runs.begin(lease, a_job(trial_number=1), 3)
    study = storage.studies.command(study_id, Command.CANCEL, by="ada", reason="a slip")
    assert (study.state, study.error) == (StudyState.CANCELLED, "a slip")
    assert study.ended_at is not None
    for write in (storage.queue.control_flags, lambda old: storage.queue.heartbeat(old, LEASE)):
        with pytest.raises(StaleLease):
            write(lease)
    assert storage.runs.get(finished.id) == finished
    stopped = storage.runs.get(under_way.id)
    assert (stopped.state, stopped.ended_at) == (RunState.CANCELLED, study.ended_at)
    assert storage.queue.claim("b", LEASE) is None


def test_pause_stops_the_runner_and_resume_continues(storage: Storage) -> None:
    study_id, lease = claim(storage)
    assert storage.studies.command(study_id, Command.PAUSE).state == StudyState.PAUSING
    assert storage.queue.control_flags(lease).pause_requested
    done_run(storage, lease, a_job())  # running trainings may end
    storage.queue.release(lease, "its trainings have ended")
    assert storage.studies.get(study_id).state == StudyState.PAUSED
    assert storage.queue.claim("b", LEASE) is None
    assert storage.studies.command(study_id, Command.RESUME).state == StudyState.QUEUED
    again = storage.queue.claim("b", LEASE)
    assert again is not None
    assert (again[0].id, again[0].attempts) == (study_id, 1)


def test_drain_ends_as_cancelled_when_the_runner_releases_the_study(storage: Storage) -> None:
    study_id, lease = claim(storage)
    assert storage.studies.command(study_id, Command.DRAIN).state == StudyState.DRAINING
    run = done_run(storage, lease, a_job())
    storage.queue.release(lease, "its trainings have ended")
    assert storage.studies.get(study_id).state == StudyState.CANCELLED
    assert storage.runs.get(run.id).state == RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("command", "state"),
    [(Command.PAUSE, StudyState.PAUSED), (Command.DRAIN, StudyState.CANCELLED)],
)
def test_pause_and_drain_take_effect_also_if_the_runner_vanished(
    storage: Storage, clock: MovableClock, command: Command, state: StudyState
) -> None:
    study_id, _ = claim(storage)
    storage.studies.command(study_id, command)
    clock.advance(16)
    assert storage.queue.claim("b", LEASE) is None
    assert storage.studies.get(study_id).state == state


def test_refused_command_says_when_it_is_possible(storage: Storage) -> None:
    study_id, lease = claim(storage)
    storage.queue.fail(lease, "no")
    with pytest.raises(Conflict, match="failed; pause is possible while it is queued, paused"):
        storage.studies.command(study_id, Command.PAUSE)
    with pytest.raises(NotFound):
        storage.studies.command("study_none", Command.PAUSE)


def test_refused_change_changes_nothing(storage: Storage) -> None:
    study_id = submit(storage)
    before = storage.studies.get(study_id)

    def refuse(_: Study) -> NoReturn:
        raise Conflict("too late")

    with pytest.raises(Conflict, match="too late"):
        storage.studies.change(study_id, refuse)
    assert storage.studies.get(study_id) == before


def test_higher_priority_goes_first_and_equals_by_age(storage: Storage) -> None:
    ids = {
        number: submit(storage, priority=priority) for number, priority in enumerate([0, 5, 5, -3])
    }
    claimed = [storage.queue.claim("a", LEASE) for _ in ids]
    assert [study.id for study, _ in filter(None, claimed)] == [ids[n] for n in (1, 2, 0, 3)]


@pytest.mark.parametrize("slots", [1, 3])
def test_submitters_get_equal_shares_however_much_they_queue(
    storage: Storage, clock: MovableClock, slots: int
) -> None:
    for submitter, studies in (("greedy", 40), ("ada", 12), ("bob", 12)):
        for _ in range(studies):
            storage.studies.submit(a_request(), a_plan(), submitter=submitter)
    served: Counter[str] = Counter()
    running: list[StudyLease] = []
    while sum(served.values()) < 30:
        clock.advance(1)
        claimed = storage.queue.claim("a", timedelta(hours=1))
        assert claimed is not None
        served[claimed[0].submitter] += 1
        running.append(claimed[1])
        if len(running) == slots:
            storage.queue.fail(running.pop(0), "done")
    assert set(served.values()) == {10}


def test_limit_of_queued_studies_holds_per_submitter(storage: Storage) -> None:
    limited = Storage(storage.database, limits=Limits(max_queued_studies=2))

    def queue(submitter: str) -> None:
        limited.studies.submit(a_request(), a_plan(), submitter=submitter)

    for submitter in ("ada", "ada", "bob"):
        queue(submitter)
    with pytest.raises(LimitReached, match="HAMTUNE_MAX_QUEUED_STUDIES"):
        queue("ada")
    limited.queue.claim("a", LEASE)
    limited.queue.claim("a", LEASE)
    queue("ada")


def test_keys_of_two_submitters_are_two_keys(storage: Storage) -> None:
    first, _ = storage.studies.submit(a_request(), a_plan(), "key", submitter="ada")
    other, new = storage.studies.submit(a_request(), a_plan(), "key", submitter="bob")
    assert new and other.id != first.id


def test_key_expires_after_its_lifetime(storage: Storage, clock: MovableClock) -> None:
    first = submit(storage, "key")
    clock.advance((LIFETIME - timedelta(seconds=1)).total_seconds())
    assert submit(storage, "key") == first
    clock.advance(1)
    other = a_request(sparsity=0.8)
    study, new = storage.studies.submit(other, resolve(other), "key")
    assert new and study.id != first
