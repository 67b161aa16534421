"""Fencing: a runner that lost its study writes nothing. The whole database is compared."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from ham.client.records import Purpose
from service.errors import StaleLease
from service.records import StudyLease
from service.storage import Database, Storage
from service.storage.tables import Base
from tests.conftest import MovableClock
from tests.service.builders import a_job, a_result, an_outcome, claim, metrics, submit

LEASE = timedelta(seconds=15)
Write = Callable[[Storage, StudyLease, str], object]

WRITES: dict[str, Write] = {
    "heartbeat": lambda storage, lease, _: storage.queue.heartbeat(lease, LEASE),
    "release": lambda storage, lease, _: storage.queue.release(lease, "bye"),
    "release lost": lambda storage, lease, _: storage.queue.release(lease, "bye", lost=True),
    "succeed": lambda storage, lease, _: storage.queue.succeed(lease, a_result()),
    "fail": lambda storage, lease, _: storage.queue.fail(lease, "no"),
    "begin a new job": lambda storage, lease, _: storage.runs.begin(
        lease, a_job(Purpose.SCREENING, seed=7), 3
    ),
    "begin the same job": lambda storage, lease, _: storage.runs.begin(lease, a_job(), 3),
    "progress": lambda storage, lease, run: storage.runs.progress(lease, run, metrics(2)),
    "end": lambda storage, lease, run: storage.runs.end(lease, run, an_outcome()),
}


def contents(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table."""
    with database.read() as session:
        return {
            table.name: [
                tuple(row) for row in session.execute(select(table).order_by(*table.primary_key))
            ]
            for table in Base.metadata.sorted_tables
        }


@pytest.fixture
def begun(storage: Storage) -> tuple[StudyLease, str]:
    """The lease of a claimed study, and the id of its running run."""
    submit(storage)
    _, lease = claim(storage, "a", LEASE)
    run = storage.runs.begin(lease, a_job(), 3)
    storage.runs.progress(lease, run.id, metrics(1))
    return lease, run.id


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_valid_lease_may_write(
    storage: Storage, clock: MovableClock, begun: tuple[StudyLease, str], write: Write
) -> None:
    before = contents(storage.database)
    clock.advance(1)
    write(storage, *begun)
    assert contents(storage.database) != before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_old_token_writes_nothing_once_another_runner_took_over(
    storage: Storage, clock: MovableClock, begun: tuple[StudyLease, str], write: Write
) -> None:
    clock.advance(16)
    assert storage.queue.claim("b", LEASE) is not None
    _assert_refused(storage, begun, write)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_old_token_writes_nothing_to_a_released_study(
    storage: Storage, begun: tuple[StudyLease, str], write: Write
) -> None:
    storage.queue.release(begun[0], "bye")
    _assert_refused(storage, begun, write)


@pytest.mark.parametrize("verdict", ["succeed", "fail"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_nothing_is_written_to_a_study_that_has_ended(
    storage: Storage, begun: tuple[StudyLease, str], write: Write, verdict: str
) -> None:
    WRITES[verdict](storage, *begun)
    _assert_refused(storage, begun, write)


@pytest.mark.parametrize("name", ["progress", "end"])
def test_lease_gives_no_right_to_runs_of_another_study(
    storage: Storage, begun: tuple[StudyLease, str], name: str
) -> None:
    submit(storage)
    _, other = claim(storage, "b", LEASE)
    _assert_refused(storage, (other, begun[1]), WRITES[name])


def _assert_refused(storage: Storage, begun: tuple[StudyLease, str], write: Write) -> None:
    before = contents(storage.database)
    with pytest.raises(StaleLease):
        write(storage, *begun)
    assert contents(storage.database) == before
