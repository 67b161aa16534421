"""Migrates the tables of a database to the schema of this version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from service.settings import OPTUNA_SCHEMA
from service.storage.engine.database import Database
from service.storage.engine.retries import retry

MIGRATIONS = Path(__file__).parents[1] / "migrations"
_SQLITE_MAX_WAIT = 60.0
"""Seconds to wait for another process that migrates; SQLite refuses some steps without waiting."""
_LOCK = 0x68616D74  # any fixed number; processes that start together migrate in turn


def migrate(database: Database, revision: str = "head") -> None:
    """Upgrade the tables to a revision, in one transaction; ``base`` or ``-1`` downgrade.

    On PostgreSQL it also creates the schema for Optuna's own tables.

    Raises:
        Unavailable: the database does not answer.
        RuntimeError: a migration left broken foreign keys.
    """
    max_wait = _SQLITE_MAX_WAIT if database.is_sqlite else database.max_wait
    retry(lambda: _migrate(database, revision), max_wait)


def _migrate(database: Database, revision: str) -> None:
    with _writing(database) as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {OPTUNA_SCHEMA}"))
        if revision == "base" or revision.startswith("-"):
            command.downgrade(alembic_config(connection), revision)
        else:
            command.upgrade(alembic_config(connection), revision)
        if database.is_sqlite and (broken := connection.execute(_BROKEN_REFERENCES).all()):
            raise RuntimeError(
                f"the migration to {revision} left rows with broken references: {broken}"
            )


_BROKEN_REFERENCES = text("PRAGMA foreign_key_check")


@contextmanager
def _writing(database: Database) -> Iterator[Connection]:
    """Open a writing transaction in which SQLite lets a table be replaced.

    SQLite changes a table by copying it and dropping the old one, which would delete the rows that
    refer to it. So foreign keys are off meanwhile; all of them are checked before the commit.
    """
    with database.engine.execution_options(hamtune_write=True).connect() as connection:
        if not database.is_sqlite:
            with connection.begin():
                yield connection
            return
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("PRAGMA foreign_keys=OFF")  # has no effect inside a transaction
        try:
            with connection.begin():
                yield connection
        finally:
            driver.execute("PRAGMA foreign_keys=ON")


def alembic_config(connection: Connection) -> Config:
    """Return Alembic's configuration for an open connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
