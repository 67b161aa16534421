"""A runner that has lost its study writes nothing: the whole database is compared."""

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
from tests.service.builders import a_job, a_result, an_outcome, metrics, submit

LEASE = timedelta(seconds=15)
Write = Callable[[Storage, StudyLease, str], object]

WRITES: dict[str, Write] = {
    "heartbeat": lambda storage, claim, _: storage.queue.heartbeat(claim, LEASE),
    "release": lambda storage, claim, _: storage.queue.release(claim, "bye"),
    "release lost": lambda storage, claim, _: storage.queue.release(claim, "bye", lost=True),
    "succeed": lambda storage, claim, _: storage.queue.succeed(claim, a_result()),
    "fail": lambda storage, claim, _: storage.queue.fail(claim, "no"),
    "begin a new job": lambda storage, claim, _: storage.runs.begin(
        claim, a_job(Purpose.SCREENING, seed=7), 3
    ),
    "begin the same job": lambda storage, claim, _: storage.runs.begin(claim, a_job(), 3),
    "progress": lambda storage, claim, run: storage.runs.progress(claim, run, metrics(2)),
    "end": lambda storage, claim, run: storage.runs.end(claim, run, an_outcome()),
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
def held(storage: Storage) -> tuple[StudyLease, str]:
    """A claimed study with one run under way."""
    submit(storage)
    _, claim = storage.queue.claim("a", LEASE)
    run = storage.runs.begin(claim, a_job(), 3)
    storage.runs.progress(claim, run.id, metrics(1))
    return claim, run.id


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_holder_may_write(
    storage: Storage, clock: MovableClock, held: tuple[StudyLease, str], write: Write
) -> None:
    before = contents(storage.database)
    clock.advance(1)
    write(storage, *held)
    assert contents(storage.database) != before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_old_token_writes_nothing_once_another_runner_took_over(
    storage: Storage, clock: MovableClock, held: tuple[StudyLease, str], write: Write
) -> None:
    clock.advance(16)
    assert storage.queue.claim("b", LEASE) is not None
    _assert_refused(storage, held, write)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_old_token_writes_nothing_to_a_study_given_back(
    storage: Storage, held: tuple[StudyLease, str], write: Write
) -> None:
    storage.queue.release(held[0], "bye")
    _assert_refused(storage, held, write)


@pytest.mark.parametrize("verdict", ["succeed", "fail"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_nothing_is_written_to_a_study_that_has_ended(
    storage: Storage, held: tuple[StudyLease, str], write: Write, verdict: str
) -> None:
    WRITES[verdict](storage, *held)
    _assert_refused(storage, held, write)


@pytest.mark.parametrize("name", ["progress", "end"])
def test_a_claim_gives_no_right_to_runs_of_another_study(
    storage: Storage, held: tuple[StudyLease, str], name: str
) -> None:
    submit(storage)
    _, other = storage.queue.claim("b", LEASE)
    _assert_refused(storage, (other, held[1]), WRITES[name])


def _assert_refused(storage: Storage, held: tuple[StudyLease, str], write: Write) -> None:
    before = contents(storage.database)
    with pytest.raises(StaleLease):
        write(storage, *held)
    assert contents(storage.database) == before
