"""Retries: aborted transactions are repeated; workers wait for a database that does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from service.errors import Unavailable
from service.storage import Database, Storage
from service.storage.engine.migrate import migrate
from service.storage.engine.retries import ATTEMPTS
from tests.postgres import OwnServer
from tests.service.builders import submit

REFUSING = """
CREATE SEQUENCE refused;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF nextval('refused') <= {times} THEN RAISE EXCEPTION USING ERRCODE = '{state}'; END IF;
RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON study_event FOR EACH ROW EXECUTE FUNCTION refuse()
"""


@pytest.fixture
def storage(server: OwnServer) -> Iterator[Storage]:
    database = Database(server.url.replace("postgresql://", "postgresql+psycopg://"))
    migrate(database)
    yield Storage(database)
    migrate(database, "base")
    database.close()


@pytest.fixture
def refusing(request: pytest.FixtureRequest, storage: Storage) -> Iterator[Storage]:
    """A database that aborts a number of transactions at their last statement."""
    times, state = request.param
    with storage.database.write() as session:
        session.execute(text(REFUSING.format(times=times, state=state)))
    yield storage
    with storage.database.write() as session:
        session.execute(text("DROP TRIGGER refuse ON study_event"))
        session.execute(text("DROP FUNCTION refuse"))
        session.execute(text("DROP SEQUENCE refused"))


@pytest.mark.parametrize("refusing", [(2, "40001"), (2, "40P01")], indirect=True)
def test_aborted_transaction_is_repeated_as_a_whole(refusing: Storage) -> None:
    study_id = submit(refusing, "key")
    assert [study.id for study in refusing.studies.list()] == [study_id]
    assert len(refusing.events.after(0)) == 1


@pytest.mark.parametrize("refusing", [(ATTEMPTS, "40001"), (1, "23514")], indirect=True)
def test_retries_end_and_other_errors_are_not_retried(refusing: Storage) -> None:
    with pytest.raises(DBAPIError):
        submit(refusing)
    assert refusing.studies.list() == []


def test_store_raises_at_once_or_waits_for_a_database_that_does_not_answer(
    server: OwnServer, storage: Storage
) -> None:
    known = submit(storage)
    patient = Storage(Database(storage.database.url, max_wait=60.0))
    server.stop()
    threading.Timer(2.0, server.start).start()
    began = time.monotonic()
    with pytest.raises(Unavailable, match="does not answer"):
        storage.studies.get(known)
    assert time.monotonic() - began < 2, "without max_wait it raises at once"
    assert patient.studies.get(known).id == known
    assert storage.studies.get(known).id == known, "the same connections serve again"
    patient.database.close()


def test_stores_of_a_missing_file_are_unavailable(tmp_path: object) -> None:
    database = Database(f"sqlite:///{tmp_path}/gone/hamtune.sqlite3")
    folder = database.engine.url.database
    assert folder is not None
    import pathlib

    pathlib.Path(folder).parent.rmdir()
    with pytest.raises(Unavailable):
        Storage(database).studies.list()
