"""Kinds of columns and indexes that the tables share, alike on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Enum, Index, Integer, TypeDecorator, text


class UtcDateTime(TypeDecorator[datetime]):
    """Times in UTC, with their zone on both databases."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without a zone, which would be a guess."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a time needs a zone, but got {value!r}")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """SQLite forgets the zone; PostgreSQL answers in the zone of its session."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def enum(values: type[Any]) -> Enum:
    """Text that a check constraint of the database holds to its allowed values."""
    return Enum(
        values,
        values_callable=lambda kind: [member.value for member in kind],
        native_enum=False,
        create_constraint=True,
        name=values.__name__.lower(),
        length=32,
    )


def where(condition: str) -> dict[str, Any]:
    """Make an index partial, on both databases."""
    return {f"{name}_where": text(condition) for name in ("sqlite", "postgresql")}


LONG = BigInteger().with_variant(Integer(), "sqlite")


def newest_first(table: str, *columns: str) -> list[Index]:
    """Make the indexes that list a table by id where a column has a value (``newest.py``)."""
    return [Index(f"ix_{table}_{column}_newest", column, "id") for column in columns]
