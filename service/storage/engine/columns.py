"""Column types and index helpers that the tables share, alike on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Enum, Index, Integer, TypeDecorator, text


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC with its zone, on both databases."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert a time to UTC.

        Raises:
            ValueError: the time has no zone.
        """
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a time needs a zone, but got {value!r}")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return a stored time in UTC.

        SQLite drops the zone; PostgreSQL answers in the zone of the session.
        """
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def enum(values: type[Any]) -> Enum:
    """Return a text column type; a check constraint allows only the enum's values."""
    return Enum(
        values,
        values_callable=lambda kind: [member.value for member in kind],
        native_enum=False,
        create_constraint=True,
        name=values.__name__.lower(),
        length=32,
    )


def where(condition: str) -> dict[str, Any]:
    """Return the options that make an index partial, on both databases."""
    return {f"{name}_where": text(condition) for name in ("sqlite", "postgresql")}


LONG = BigInteger().with_variant(Integer(), "sqlite")


def newest_first(table: str, *columns: str) -> list[Index]:
    """Return one index (column, id) per column, for lists by newest id (``keyset.py``)."""
    return [Index(f"ix_{table}_{column}_newest", column, "id") for column in columns]
