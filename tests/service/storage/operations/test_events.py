"""Events: a reader that asks for those after the last one seen misses none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event, Thread

from sqlalchemy import select

from ham.client.records import EventKind, StudyEvent, StudyState
from service.clock import utc_now
from service.storage import Storage
from service.storage.engine.event_log import note_event, write_noted_events
from service.storage.tables import StudyRow
from tests.service.builders import a_job, a_result, done_run, submit

LEASE = timedelta(minutes=10)


def test_events_tell_the_life_of_a_study(storage: Storage) -> None:
    study_id, other = submit(storage), submit(storage)
    claimed = storage.queue.claim("a", LEASE)
    assert claimed is not None
    run = done_run(storage, claimed[1], a_job())
    storage.queue.succeed(claimed[1], a_result())
    events = storage.events.after(0, study_id=study_id)
    assert [(event.kind, event.source, event.state, event.by) for event in events] == [
        (EventKind.STATE, None, StudyState.QUEUED, "local"),
        (EventKind.STATE, StudyState.QUEUED, StudyState.RUNNING, "a"),
        (EventKind.RUN, None, StudyState.RUNNING, "a"),
        (EventKind.RUN, None, StudyState.RUNNING, "a"),
        (EventKind.STATE, StudyState.RUNNING, StudyState.SUCCEEDED, "a"),
    ]
    begun, ended = (event.details for event in events if event.kind == EventKind.RUN)
    assert (begun["run_id"], begun["state"]) == (run.id, "running")
    assert (ended["state"], ended["validation_accuracy"]) == ("succeeded", 0.9)
    everything = storage.events.after(0)
    assert [event.id for event in everything] == sorted({event.id for event in everything})
    assert {event.study_id for event in everything} == {study_id, other}
    assert storage.events.newest() == everything[-1].id
    assert storage.events.after(everything[2].id, limit=2) == everything[3:5]


def test_no_later_event_is_seen_before_an_earlier_one(storage: Storage) -> None:
    """A transaction that has an id and is not committed delays the ones after it."""
    study_id = submit(storage)
    seen = storage.events.newest()
    second = Thread(target=submit, args=(storage,))
    with storage.database.write() as session:
        row = session.scalars(select(StudyRow).where(StudyRow.id == study_id)).one()
        note_event(session, utc_now, row, EventKind.CHANGE, by="slow")
        write_noted_events(session)
        second.start()
        second.join(0.5)
        assert second.is_alive(), "it waits for the lock"
        assert storage.events.after(seen) == []
    second.join()
    assert [event.by for event in storage.events.after(seen)] == ["slow", "local"]


def test_reader_beside_many_writers_misses_no_event(storage: Storage) -> None:
    done = Event()

    def read() -> list[StudyEvent]:
        seen: list[StudyEvent] = []
        while True:
            last_look = done.is_set()
            new = storage.events.after(seen[-1].id if seen else 0)
            seen += new
            if last_look and not new:
                return seen

    with ThreadPoolExecutor(5) as pool:
        reading = pool.submit(read)
        writing = [pool.submit(submit, storage) for _ in range(60)]
        for future in writing:
            future.result()
        done.set()
        seen = reading.result()
    assert seen == storage.events.after(0, limit=1000)
    assert len(seen) == 60
