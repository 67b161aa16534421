"""The queue: who gets which study, how long the lease holds, and when a study fails."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from ham.client.records import BudgetChange, Prior, StudyChange, StudyState
from service.domain.planning.budget_changes import changed
from service.errors import StaleLease
from service.storage import Storage
from service.storage.tables import StudyEventRow
from tests.conftest import MovableClock
from tests.service.builders import a_job, a_result, claim, submit

LEASE = timedelta(seconds=15)


def test_claim_takes_studies_in_the_order_they_were_submitted(storage: Storage) -> None:
    ids = [submit(storage) for _ in range(20)]
    claimed = [storage.queue.claim("me", LEASE) for _ in ids]
    assert [study.id for study, _ in filter(None, claimed)] == ids
    assert storage.queue.claim("me", LEASE) is None


def test_claim_returns_the_study_with_its_start(storage: Storage, clock: MovableClock) -> None:
    study_id = submit(storage)
    clock.advance(60)
    study, lease = claim(storage, "me", LEASE)
    assert study == storage.studies.get(study_id)
    assert (study.state, study.attempts, study.started_at) == (StudyState.RUNNING, 1, clock.now)
    assert (lease.study_id, lease.token) == (study_id, 1)


def test_lease_that_runs_out_lets_another_runner_take_over(
    storage: Storage, clock: MovableClock
) -> None:
    submit(storage)
    first, old = claim(storage, "a", LEASE)
    clock.advance(14.999)
    assert storage.queue.claim("b", LEASE) is None, "the lease holds to its last moment"
    clock.advance(0.001)
    second, new = claim(storage, "b", LEASE)
    assert (second.id, new.token, second.attempts) == (first.id, old.token + 1, 2)
    assert second.started_at == first.started_at, "a study starts once"


def test_prior_is_written_before_the_first_run_and_then_stays(
    storage: Storage, clock: MovableClock
) -> None:
    study_id = submit(storage)
    one, other = (
        Prior(neighbours=(name,), alphas=(0, 1), betas=(0, 1), gains=((0, 0), (0, 0.01)))
        for name in ("one", "other")
    )
    _, old = claim(storage, "a", LEASE)
    assert storage.queue.begin_search(old, other).prior == other
    clock.advance(15)
    _, lease = claim(storage, "b", LEASE)
    assert storage.queue.begin_search(lease, one).prior == one, "no run has begun with the first"
    with pytest.raises(StaleLease):
        storage.queue.begin_search(old, other)
    storage.runs.begin(lease, a_job(), epochs=3)
    for later in (other, None):
        assert storage.queue.begin_search(lease, later).prior == one
    assert (
        storage.studies.get(study_id).plan.prior
        == one
        == storage.queue.control_flags(lease).plan.prior
    )
    change = StudyChange(budget=BudgetChange(trials=3))
    study = storage.studies.change(study_id, lambda study: changed(study, change, ()))
    assert (study.plan.prior, study.plan.budget.trials) == (one, 3)


def test_heartbeat_prolongs_the_lease_from_now(storage: Storage, clock: MovableClock) -> None:
    submit(storage)
    _, lease = claim(storage, "a", LEASE)
    for _ in range(5):
        clock.advance(10)
        storage.queue.heartbeat(lease, LEASE)
        assert storage.queue.claim("b", LEASE) is None
    clock.advance(15)
    assert storage.queue.claim("b", LEASE) is not None


def test_late_runner_that_was_not_replaced_continues(
    storage: Storage, clock: MovableClock
) -> None:
    submit(storage)
    _, lease = claim(storage, "a", LEASE)
    clock.advance(1000)
    storage.queue.heartbeat(lease, LEASE)
    assert storage.queue.claim("b", LEASE) is None


def test_released_study_is_claimed_again_at_once_under_a_new_token(storage: Storage) -> None:
    study_id = submit(storage)
    _, old = claim(storage, "a", LEASE)
    storage.queue.release(old, "told to stop")
    assert storage.studies.get(study_id).state == StudyState.QUEUED
    with pytest.raises(StaleLease):
        storage.queue.heartbeat(old, LEASE)
    _, new = claim(storage, "b", LEASE)
    assert new.token == old.token + 1


def test_study_fails_after_the_allowed_number_of_lost_runners(
    storage: Storage, clock: MovableClock
) -> None:
    study_id, next_id = submit(storage), submit(storage)
    for _ in range(5):
        study, lease = claim(storage, "a", LEASE)
        assert study.id == study_id
        clock.advance(16)
    study, _ = claim(storage, "a", LEASE)
    assert study.id == next_id, "the same call claims the next study"
    given_up = storage.studies.get(study_id)
    assert (given_up.state, given_up.attempts) == (StudyState.FAILED, 5)
    assert given_up.ended_at == clock.now
    assert (given_up.error or "").startswith("given up after 5 runners")
    with pytest.raises(StaleLease):
        storage.queue.heartbeat(lease, LEASE)


def test_runner_that_breaks_down_counts_as_lost(storage: Storage) -> None:
    study_id = submit(storage)
    for _ in range(5):
        _, lease = claim(storage, "a", LEASE)
        storage.queue.release(lease, "exit 1", lost=True)
    assert storage.queue.claim("a", LEASE) is None
    assert storage.studies.get(study_id).state == StudyState.FAILED


def test_released_study_uses_up_no_attempt(storage: Storage) -> None:
    study_id = submit(storage)
    tokens = []
    for _ in range(12):
        study, lease = claim(storage, "a", LEASE)
        tokens.append(lease.token)
        assert (study.id, study.attempts) == (study_id, 1)
        storage.queue.release(lease, "the service was stopped")
    assert tokens == list(range(1, 13)), "fencing tokens grow with every claim"


@pytest.mark.parametrize("verdict", ["succeed", "fail"])
def test_ended_study_stays_ended(storage: Storage, clock: MovableClock, verdict: str) -> None:
    study_id = submit(storage)
    _, lease = claim(storage, "a", LEASE)
    clock.advance(5)
    if verdict == "succeed":
        storage.queue.succeed(lease, a_result())
    else:
        storage.queue.fail(lease, "no trial gave a result")
    study = storage.studies.get(study_id)
    assert study.ended_at == clock.now
    assert (study.state, study.error) == (
        (StudyState.SUCCEEDED, None)
        if verdict == "succeed"
        else (StudyState.FAILED, "no trial gave a result")
    )
    clock.advance(10_000)
    assert storage.queue.claim("b", LEASE) is None
    assert storage.studies.get(study_id) == study


def test_every_transition_is_an_event(storage: Storage, clock: MovableClock) -> None:
    study_id = submit(storage)
    _, lease = claim(storage, "a", LEASE)
    clock.advance(1)
    storage.queue.release(lease, "told to stop")
    _, lease = claim(storage, "b", LEASE)
    clock.advance(1)
    storage.queue.fail(lease, "hopeless")
    with storage.database.read() as session:
        query = select(StudyEventRow).where(StudyEventRow.study_id == study_id)
        events = [
            (row.source, row.state.value, row.owner, row.reason)
            for row in session.scalars(query.order_by(StudyEventRow.id))
        ]
    assert events == [
        (None, "queued", "local", None),
        ("queued", "running", "a", "claimed"),
        ("running", "queued", "a", "told to stop"),
        ("queued", "running", "b", "claimed"),
        ("running", "failed", "b", "hopeless"),
    ]
