"""The schema: migrations lead to the tables, and the database itself refuses false rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, inspect, select, text, update
from sqlalchemy.exc import IntegrityError, StatementError

from ham.client.records import ENDED, Purpose, StudyState
from ham.client.records.lifecycle import TRANSITIONS
from service.settings import OPTUNA_SCHEMA, Settings
from service.storage import Database, Storage
from service.storage.engine.migrate import MIGRATIONS, migrate
from service.storage.tables import (
    Base,
    CombinationRow,
    IdempotencyKeyRow,
    ParetoFrontRow,
    RecommendationRow,
    RunMetricRow,
    RunRow,
    StudyEventRow,
    StudyRow,
)
from tests.conftest import MovableClock
from tests.service.builders import a_job, a_plan, a_request, a_result, claim, done_run, submit

LEASE = timedelta(seconds=15)
OWN_TABLES = set(Base.metadata.tables)
RELEASED_ROWS = (
    "INSERT INTO combination VALUES (1, 'k', 'm', 'd', 's', 0.5, 'o', 'r')",
    "INSERT INTO study VALUES ('s', 1, 'running', '{}', '{}', '2026-01-01', NULL, NULL, NULL, 0, "
    "0, NULL, '2026-01-01')",
    "INSERT INTO run (id, study_id, combination_id, job, purpose, alpha, beta, seed, state, "
    "epochs, epochs_done, measures, environment, attempt, started_at, validation_accuracy) VALUES "
    "('r', 's', 1, 'j', 'search', 1, 1, 0, 'succeeded', 3, 3, '{}', '{}', 1, '2026-01-01', 0.9)",
    "INSERT INTO run_metric VALUES ('r', 1, 0, 0, 0, 0, 0, 0)",
)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{column}={value}" for column, value in value.items())
    return str(getattr(value, "__tablename__", value))


@pytest.fixture
def unmigrated(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Database]:
    """A database without any table."""
    if settings.database_url is not None:
        request.getfixturevalue("empty_postgres_url")
    database = Database(settings.database)
    yield database
    database.close()


@pytest.fixture
def full(storage: Storage) -> Storage:
    """A database with at least one row in every table."""
    submit(storage, "key")
    _, lease = claim(storage, "a", LEASE)
    done_run(storage, lease, a_job())
    storage.queue.succeed(lease, a_result())
    with storage.database.write() as session:
        at = datetime(2026, 1, 1, tzinfo=UTC)
        session.add(ParetoFrontRow(study_id=lease.study_id, created_at=at, result={}))
    return storage


def test_migrations_go_up_down_and_up_again(unmigrated: Database) -> None:
    migrate(unmigrated)
    assert tables(unmigrated) == {*OWN_TABLES, "hamtune_version"}
    migrate(unmigrated, "base")
    assert tables(unmigrated) == {"hamtune_version"}
    migrate(unmigrated)
    migrate(unmigrated)
    assert tables(unmigrated) == {*OWN_TABLES, "hamtune_version"}
    assert submit(Storage(unmigrated)).startswith("study_")


def _release_with(unmigrated: Database, statements: Iterable[str]) -> None:
    """Make a database of the first release with the rows of the statements."""
    migrate(unmigrated, "0001")
    with unmigrated.write() as session:
        for statement in statements:
            session.execute(text(statement))


def test_migrations_keep_the_rows_of_a_released_database(unmigrated: Database) -> None:
    """SQLite changes a table by replacing it while rows of other tables refer to it."""
    _release_with(unmigrated, RELEASED_ROWS)
    migrate(unmigrated)
    with unmigrated.read() as session:
        runs = session.execute(text("SELECT id, validation_accuracy FROM run")).all()
        epochs = session.execute(text("SELECT run_id, epoch FROM run_metric")).all()
    assert (runs, epochs) == ([("r", 0.9)], [("r", 1)])
    with pytest.raises(IntegrityError), unmigrated.write() as session:
        session.execute(text("UPDATE run_metric SET run_id = 'none'"))


def test_every_revision_goes_up_and_down_by_itself_and_keeps_rows(unmigrated: Database) -> None:
    """The revisions are found, not listed here."""
    history = list(ScriptDirectory(str(MIGRATIONS)).walk_revisions())
    first, *later = [script.revision for script in reversed(history)]
    migrate(unmigrated, first)
    with unmigrated.write() as session:
        for statement in RELEASED_ROWS:
            session.execute(text(statement))
    for revision in later:
        migrate(unmigrated, revision)
        migrate(unmigrated, "-1")
        migrate(unmigrated, revision)
        with unmigrated.read() as session:
            assert session.execute(text("SELECT id FROM run")).all() == [("r",)], revision
            assert session.execute(text("SELECT run_id FROM run_metric")).all() == [("r",)]


def test_models_and_migrations_agree(database: Database) -> None:
    with database.engine.connect() as connection:
        options = {"compare_server_default": True, "version_table": "hamtune_version"}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []


def test_models_and_migrations_hold_the_same_checks(unmigrated: Database, tmp_path: Path) -> None:
    """Alembic does not compare check constraints."""
    migrate(unmigrated)
    migrated = checks(unmigrated)
    migrate(unmigrated, "base")
    Base.metadata.create_all(unmigrated.engine)
    assert migrated == checks(unmigrated)
    assert sum(map(len, migrated.values())) >= 15
    assert len(migrated["triggers"]) == 2


def test_postgresql_gets_a_schema_for_optuna(unmigrated: Database) -> None:
    migrate(unmigrated)
    if not unmigrated.is_sqlite:
        assert OPTUNA_SCHEMA in inspect(unmigrated.engine).get_schema_names()


@pytest.mark.parametrize(
    "table, values, check",
    [
        (CombinationRow, {"sparsity": 1.0}, "sparsity_range"),
        (CombinationRow, {"sparsity": -0.1}, "sparsity_range"),
        (StudyRow, {"state": "paused for ever"}, "cannot go that way"),
        (StudyRow, {"state": "queued"}, "cannot go that way"),
        (StudyRow, {"place": 101}, "place_range"),
        (StudyRow, {"claimable_at": "2026-11-24 12:00:00"}, "claimable_unless_at_rest"),
        (StudyEventRow, {"state": ""}, "studystate|known_transition"),
        (StudyEventRow, {"source": "succeeded"}, "known_transition"),
        (StudyEventRow, {"kind": "rumour"}, "eventkind"),
        (IdempotencyKeyRow, {"study_id": None}, "stands_for_one"),
        (RunRow, {"state": "stopped"}, "runstate"),
        (RunRow, {"state": "pruned"}, "pruned_is_partial"),
        (RunRow, {"state": "pruned", "epochs_done": 1, "purpose": "screening"}, "pruned_is"),
        (RunRow, {"purpose": "fun"}, "purpose"),
        (RunRow, {"alpha": -1.0}, "setting_range"),
        (RunRow, {"beta": -1e-9}, "setting_range"),
        (RunRow, {"test_accuracy": 0.9}, "test_only_in_confirmation"),
        (RunRow, {"purpose": "screening", "test_accuracy": 0.9}, "test_only_in_confirmation"),
        (RunRow, {"validation_accuracy": None}, "succeeded_is_complete"),
        (RunRow, {"epochs_done": 2}, "succeeded_is_complete"),
        (RecommendationRow, {"grade": "certain"}, "grade"),
    ],
    ids=_words,
)
def test_database_itself_refuses_false_rows(
    full: Storage, table: type[Base], values: dict[str, Any], check: str
) -> None:
    assignments = ", ".join(f"{column} = :{column}" for column in values)
    statement = text(f"UPDATE {table.__tablename__} SET {assignments}")
    with pytest.raises(IntegrityError, match=check), full.database.write() as session:
        session.execute(statement, values)


@pytest.mark.parametrize(
    "table, column",
    [
        (StudyRow, "combination_id"),
        (StudyRow, "submitter"),
        (StudyRow, "sweep_id"),
        (StudyEventRow, "study_id"),
        (IdempotencyKeyRow, "study_id"),
        (IdempotencyKeyRow, "submitter"),
        (RunRow, "study_id"),
        (RunRow, "combination_id"),
        (RunRow, "reused_from"),
        (RunMetricRow, "run_id"),
        (RecommendationRow, "study_id"),
        (RecommendationRow, "combination_id"),
        (ParetoFrontRow, "study_id"),
    ],
    ids=_words,
)
def test_database_itself_refuses_broken_references(
    full: Storage, table: type[Base], column: str
) -> None:
    nowhere = 999 if column == "combination_id" else "none"
    with (
        pytest.raises(IntegrityError, match=r"(?i)foreign key"),
        full.database.write() as session,
    ):
        session.execute(update(table).values({column: nowhere}))


@pytest.mark.parametrize("source", StudyState)
def test_database_itself_refuses_every_false_transition(
    storage: Storage, source: StudyState
) -> None:
    """Each pair of states is tried in a bare UPDATE, which is rolled back."""
    way = path_to(source)
    taken = []
    for target in StudyState:
        storage.studies.submit(a_request(), a_plan())
        try:
            with storage.database.write() as session:
                for state in (*way, target):
                    at_rest = state in (StudyState.PAUSED, *ENDED)
                    claimable_at = None if at_rest else datetime(2026, 1, 1, tzinfo=UTC)
                    session.execute(
                        update(StudyRow).values(state=state, claimable_at=claimable_at)
                    )
                taken.append(target)
                session.rollback()
        except IntegrityError as error:
            assert "cannot go that way" in str(error)
    assert set(taken) == {source, *TRANSITIONS[source]}, "staying in a state is no transition"


def path_to(state: StudyState) -> list[StudyState]:
    """Return states that lead from queued to a state."""
    ways: dict[StudyState, list[StudyState]] = {StudyState.QUEUED: []}
    for reached in (frontier := list(ways)):
        for target in TRANSITIONS[reached]:
            if target not in ways:
                ways[target] = [*ways[reached], target]
                frontier.append(target)
    return ways[state]


def test_a_new_study_is_queued(full: Storage) -> None:
    table = Base.metadata.tables[StudyRow.__tablename__]
    with full.database.read() as session:
        row = dict(session.execute(select(table)).mappings().one())
    with (
        pytest.raises(IntegrityError, match="cannot go that way"),
        full.database.write() as session,
    ):
        session.execute(insert(table).values(row | {"id": "study_other"}))


def test_rows_of_the_first_release_survive_upgrade_and_downgrade(unmigrated: Database) -> None:
    """Events get the state before; the downgrade rounds what the first release cannot store."""
    _release_with(unmigrated, FIRST_RELEASE)
    migrate(unmigrated)
    with unmigrated.read() as session:
        events = select(StudyEventRow.source, StudyEventRow.state).order_by(StudyEventRow.id)
        assert session.execute(events).all() == [(None, "queued"), ("queued", "running")]
        keys = select(IdempotencyKeyRow.submitter, IdempotencyKeyRow.key)
        assert session.execute(keys).all() == [("local", "k")]
    with unmigrated.write() as session:
        session.execute(text("UPDATE study SET state = 'cancelled', claimable_at = NULL"))
    while version(unmigrated) != "0001":
        migrate(unmigrated, "-1")
    with unmigrated.read() as session:
        assert session.scalars(text("SELECT state FROM study")).all() == ["failed"]
        assert session.scalars(text("SELECT count(*) FROM study_event")).one() == 2


FIRST_RELEASE = (
    "INSERT INTO combination VALUES (1, 'key', 'm', 'd', 's', 0.9, 'sgd', 'r@1')",
    "INSERT INTO study (id, combination_id, state, request, plan, created_at, attempts, token, "
    "claimable_at) VALUES ('study_1', 1, 'running', '{}', '{}', '2026-01-01', 1, 1, '2026-01-01')",
    "INSERT INTO study_event (id, study_id, at, state) VALUES (1, 'study_1', '2026-01-01', "
    "'queued'), (2, 'study_1', '2026-01-01', 'running')",
    "INSERT INTO idempotency_key VALUES ('k', 'study_1', '2026-01-01')",
)


def test_job_is_unique_within_its_study(full: Storage) -> None:
    table = Base.metadata.tables[RunRow.__tablename__]
    with full.database.read() as session:
        row = dict(session.execute(select(table)).mappings().one())
    with pytest.raises(IntegrityError, match="job"), full.database.write() as session:
        session.execute(insert(table).values(row | {"id": "run_other"}))


def test_times_written_in_any_zone_are_read_in_utc(storage: Storage, clock: MovableClock) -> None:
    berlin = timezone(timedelta(hours=1))
    clock.now = datetime(2026, 11, 24, 13, 30, 0, 123456, tzinfo=berlin)
    study_id = submit(storage)
    created = storage.studies.get(study_id).created_at
    assert created == clock.now
    assert created.isoformat() == "2026-11-24T12:30:00.123456+00:00"


def test_times_are_read_in_utc_with_any_zone_of_the_server(
    storage: Storage, clock: MovableClock
) -> None:
    study_id = submit(storage)
    if storage.database.is_sqlite:
        return
    tokyo = Database(storage.database.url + "?options=-ctimezone%3DAsia/Tokyo")
    with tokyo.read() as session:
        assert session.scalar(text("SHOW timezone")) == "Asia/Tokyo"
    created = Storage(tokyo).studies.get(study_id).created_at
    tokyo.close()
    assert created.isoformat() == clock.now.isoformat()


def test_time_without_a_zone_is_refused(storage: Storage, clock: MovableClock) -> None:
    clock.now = datetime(2026, 11, 24, 12)
    with pytest.raises(StatementError, match="a time needs a zone"):
        submit(storage)
    clock.now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert submit(storage)


def test_no_configuration_or_accuracy_loses_a_digit(storage: Storage) -> None:
    submit(storage)
    _, lease = claim(storage, "a", LEASE)
    job = a_job(Purpose.CONFIRMATION, seed=2**31 - 1)
    accuracy = 0.1 + 0.2
    run = done_run(storage, lease, job, accuracy, test=1 / 3)
    stored = storage.runs.get(run.id)
    assert (stored.validation_accuracy, stored.test_accuracy) == (accuracy, 1 / 3)
    assert (stored.setting, stored.seed) == (job.setting, job.seed)


def version(database: Database) -> str:
    with database.read() as session:
        return str(session.scalar(text("SELECT version_num FROM hamtune_version")))


def tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names())


def checks(database: Database) -> dict[str, set[tuple[str | None, str]]]:
    inspector = inspect(database.engine)
    found = {
        table: {(row["name"], row["sqltext"]) for row in inspector.get_check_constraints(table)}
        for table in OWN_TABLES
    }
    with database.read() as session:
        triggers = TRIGGERS_SQLITE if database.is_sqlite else TRIGGERS_POSTGRESQL
        found["triggers"] = {(name, body) for name, body in session.execute(text(triggers))}
    return found


TRIGGERS_SQLITE = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
TRIGGERS_POSTGRESQL = """
SELECT tgname, pg_get_triggerdef(t.oid) || prosrc FROM pg_trigger t JOIN pg_proc ON pg_proc.oid =
tgfoid WHERE NOT tgisinternal
"""
