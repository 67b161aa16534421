"""Brings a database's tables to this version's schema."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from service.settings import OPTUNA_SCHEMA
from service.storage.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x68616D74  # any fixed number: processes that start together migrate one by one


def migrate(database: Database, revision: str = "head") -> None:
    """Upgrade the tables to a revision, in one transaction; ``base`` or ``-1`` downgrades.

    On PostgreSQL it also makes the schema that Optuna's own tables live in.
    """
    with database.write() as session:
        connection = session.connection()
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {OPTUNA_SCHEMA}"))
        if revision == "base" or revision.startswith("-"):
            command.downgrade(alembic_config(connection), revision)
        else:
            command.upgrade(alembic_config(connection), revision)


def alembic_config(connection: Connection) -> Config:
    """Return Alembic's configuration on an open connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
