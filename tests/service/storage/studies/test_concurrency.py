"""Several real processes and threads on one database."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from threading import Barrier
from typing import TypeVar

import pytest
from sqlalchemy import func, select, text

from ham.client.records import Purpose, RunState
from service.errors import Conflict
from service.settings import Settings
from service.storage import Database, Storage, open_storage
from service.storage.engine.migrate import migrate
from service.storage.tables import CombinationRow, StudyRow
from tests.service.builders import a_job, a_plan, a_request, a_result, claim, done_run, submit

LEASE = timedelta(seconds=600)
Result = TypeVar("Result")

PROCESSES = 3
_start: Barrier


def work_off(settings: Settings) -> list[str]:
    """Claim and end studies until none is left, the first once all processes have claimed one."""
    storage = open_storage(settings)
    worked = []
    claimed = storage.queue.claim("worker", LEASE)
    _start.wait()
    while claimed:
        study, lease = claimed
        for number in range(2):
            done_run(storage, lease, a_job(trial_number=number))
        storage.queue.succeed(lease, a_result())
        worked.append(study.id)
        claimed = storage.queue.claim("worker", LEASE)
    storage.database.close()
    return worked


def migrate_now(settings: Settings) -> None:
    database = Database(settings.database)
    migrate(database)
    database.close()


def keep(start: Barrier) -> None:
    global _start
    _start = start


def together(work: Callable[[Settings], Result], settings: Settings) -> Result:
    """Wait for the other processes, so that all begin at the same time and each gets one share."""
    _start.wait()
    return work(settings)


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    context = get_context("spawn")
    start = context.Barrier(PROCESSES)
    with ProcessPoolExecutor(PROCESSES, context, keep, (start,)) as pool:
        yield pool


def in_processes(
    pool: ProcessPoolExecutor, work: Callable[[Settings], Result], settings: Settings
) -> list[Result]:
    futures = [pool.submit(together, work, settings) for _ in range(PROCESSES)]
    return [future.result() for future in futures]


def at_once(count: int, work: Callable[[int], Result]) -> list[Result]:
    """Run a function in threads that all start at the same moment."""
    barrier = Barrier(count)

    def begin(index: int) -> Result:
        barrier.wait()
        return work(index)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def test_processes_share_the_queue_without_ever_sharing_a_study(
    processes: ProcessPoolExecutor, settings: Settings, storage: Storage
) -> None:
    ids = [submit(storage) for _ in range(24)]
    worked = in_processes(processes, work_off, settings)
    assert all(worked), "each process had a share"
    assert sorted(study_id for share in worked for study_id in share) == ids
    run_counts = storage.run_counts.of([storage.studies.get(id) for id in ids]).values()
    assert {
        (count.purpose, count.state, count.runs) for found in run_counts for count in found.counts
    } == {(Purpose.SEARCH, RunState.SUCCEEDED, 2)}
    [latest] = storage.recommendations.latest()
    assert latest.version == len(ids), "versions without a gap, though studies ended at once"


def test_threads_that_claim_at_once_get_different_studies(storage: Storage) -> None:
    ids = [submit(storage) for _ in range(8)]
    claimed = at_once(12, lambda index: storage.queue.claim(str(index), LEASE))
    assert sorted(pair[0].id for pair in claimed if pair is not None) == ids


def test_one_of_many_that_take_over_a_lost_study_gets_it(
    storage: Storage,
) -> None:
    submit(storage)
    storage.queue.claim("lost", timedelta(0))
    claimed = at_once(8, lambda index: storage.queue.claim(str(index), LEASE))
    [(study, lease)] = [pair for pair in claimed if pair is not None]
    assert (study.attempts, lease.token) == (2, 2)


def test_twenty_submissions_with_one_key_make_one_study(storage: Storage) -> None:
    answers = at_once(20, lambda _: storage.studies.submit(a_request(), a_plan(), "key"))
    assert len({study.id for study, _ in answers}) == 1
    assert Counter(new for _, new in answers) == {True: 1, False: 19}
    assert len(storage.studies.list()) == 1


def test_of_different_requests_with_one_key_at_once_one_is_stored(storage: Storage) -> None:
    def submit_one(index: int) -> str | None:
        changes = {"sparsity": (50 + index) / 100}
        try:
            return storage.studies.submit(a_request(**changes), a_plan(**changes), "key")[0].id
        except Conflict:
            return None

    [stored] = filter(None, at_once(10, submit_one))
    assert [study.id for study in storage.studies.list()] == [stored]


def test_new_combination_submitted_many_times_at_once_is_one_row(storage: Storage) -> None:
    at_once(10, lambda _: submit(storage))
    with storage.database.read() as session:
        assert session.scalar(select(func.count()).select_from(CombinationRow)) == 1


def test_same_job_begun_many_times_at_once_is_one_run(storage: Storage) -> None:
    submit(storage)
    _, lease = claim(storage, "a", LEASE)
    runs = at_once(8, lambda _: storage.runs.begin(lease, a_job(), 3))
    assert len({run.id for run in runs}) == 1
    assert sorted(run.attempt for run in runs) == list(range(1, 9))


def test_processes_that_start_together_migrate_in_turn(
    request: pytest.FixtureRequest, processes: ProcessPoolExecutor, settings: Settings
) -> None:
    if settings.database_url is not None:
        request.getfixturevalue("empty_postgres_url")
    in_processes(processes, migrate_now, settings)
    storage = open_storage(settings)
    assert submit(storage).startswith("study_")
    storage.database.close()


def test_writer_does_not_block_a_reader(database: Database) -> None:
    storage = Storage(database)
    submit(storage)
    with database.write() as writer:
        writer.execute(text("DELETE FROM study_event"))
        began = time.monotonic()
        [study] = storage.studies.list()
        assert storage.runs.of_study(study.id) == []
        assert time.monotonic() - began < 5


def test_reader_sees_one_snapshot(database: Database) -> None:
    storage = Storage(database)
    submit(storage)
    count = text("SELECT count(*) FROM study")
    with database.read() as reader:
        assert reader.scalar(count) == 1
        submit(storage)
        assert reader.scalar(count) == 1
    with database.read() as reader:
        assert reader.scalar(count) == 2


def test_transaction_that_raises_writes_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as writer:
        writer.execute(
            text("INSERT INTO combination VALUES (1, 'k', 'm', 'd', 's', 0.5, 'sgd', 'r')")
        )
        _ = 1 / 0
    with database.read() as reader:
        assert reader.scalar(text("SELECT count(*) FROM combination")) == 0


def test_read_then_write_transactions_of_two_processes_never_fail_as_busy(
    database: Database,
) -> None:
    """A deferred SQLite transaction would fail: it cannot upgrade once another one has written."""
    storage = Storage(database)
    submit(storage)

    def raise_attempts(_: int) -> None:
        for _ in range(20):
            with database.write() as session:
                attempts = session.scalars(select(StudyRow.attempts).with_for_update()).one()
                session.execute(text("UPDATE study SET attempts = :n"), {"n": attempts + 1})

    at_once(4, raise_attempts)
    assert storage.studies.list()[0].attempts == 80
