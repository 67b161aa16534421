"""Log lines are stored by study and run, refused from stale runners, and removed in time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ham.client.records import LogLevel, NewLogLine
from service.errors import StaleLease
from service.records import StudyLease
from service.storage import Storage
from tests.conftest import MovableClock
from tests.service.builders import a_job, done_run, submit

LEASE = timedelta(seconds=15)


def line(
    clock: MovableClock, event: str, level: LogLevel = LogLevel.INFO, run_id: str | None = None
) -> NewLogLine:
    return NewLogLine(at=clock(), level=level, event=event, run_id=run_id, details={"n": 1})


def claim(storage: Storage) -> StudyLease:
    claimed = storage.queue.claim("me", LEASE)
    assert claimed is not None
    return claimed[1]


def test_lines_are_found_by_study_run_and_level(storage: Storage, clock: MovableClock) -> None:
    study_id = submit(storage)
    lease = claim(storage)
    run = done_run(storage, lease, a_job())
    storage.logs.append(
        lease, [line(clock, "one"), line(clock, "two", LogLevel.WARNING, run_id=run.id)]
    )
    storage.queue.fail(lease, "no")
    storage.logs.append(lease, [line(clock, "last words", LogLevel.ERROR)])
    lines = storage.logs.page(study_id=study_id)
    assert [logged.event for logged in lines] == ["one", "two", "last words"]
    assert (lines[0].at, lines[0].details) == (clock(), {"n": 1})
    assert [logged.event for logged in storage.logs.page(run_id=run.id)] == ["two"]
    serious = storage.logs.page(study_id=study_id, least=LogLevel.ERROR)
    assert [logged.event for logged in serious] == ["last words"]
    assert storage.logs.page(study_id=study_id, limit=1, after=lines[0].id) == [lines[1]]


def test_runner_that_lost_its_study_stores_no_log_lines(
    storage: Storage, clock: MovableClock
) -> None:
    study_id = submit(storage)
    old = claim(storage)
    clock.advance(16)
    claim(storage)
    with pytest.raises(StaleLease):
        storage.logs.append(old, [line(clock, "late")])
    assert storage.logs.page(study_id=study_id) == []


def test_lines_of_studies_that_ended_long_ago_are_removed(
    storage: Storage, clock: MovableClock
) -> None:
    ended = []
    for _ in range(2):
        ended.append(submit(storage))
        lease = claim(storage)
        storage.logs.append(lease, [line(clock, "one"), line(clock, "two")])
        storage.queue.fail(lease, "no")
        clock.advance(3600)
    submit(storage)
    storage.logs.append(claim(storage), [line(clock, "under way")])
    between = clock() - timedelta(minutes=90)
    assert storage.logs.delete_before(between, dry_run=True) == 2
    assert storage.logs.delete_before(between) == 2
    assert storage.logs.page(study_id=ended[0]) == []
    assert len(storage.logs.page()) == 3
