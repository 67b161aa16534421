"""Copies values between records and table rows by the names of their fields.

A field of a record is stored in the column of the same name. A new field therefore needs a column
and a migration, and no line in any store. ``tests/service/storage/test_completeness.py`` names
every field and every column without a partner, and says why.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import DeclarativeBase

RecordType = Any
"""A pydantic model or a dataclass, as a class."""
Table = Any
"""A mapped class. (mypy does not accept ``type[...]`` as hashable, which a cache needs.)"""


@cache
def field_names(record: RecordType) -> tuple[str, ...]:
    """Return the names of the fields of a record."""
    if is_dataclass(record):
        return tuple(field.name for field in fields(record))
    return tuple(record.model_fields)


@cache
def column_names(table: Table) -> tuple[str, ...]:
    """Return the names of the mapped columns of a table."""
    return tuple(inspect(table).column_attrs.keys())


@cache
def shared_names(
    record: RecordType, table: Table, but: RecordType | None = None
) -> tuple[str, ...]:
    """Return the names that are both a field of a record and a column of a table.

    Fields of the record ``but`` are left out.
    """
    columns = set(column_names(table))
    if but is not None:
        columns -= set(field_names(but))
    return tuple(name for name in field_names(record) if name in columns)


def field_values(
    row: DeclarativeBase, record: RecordType, but: RecordType | None = None
) -> dict[str, Any]:
    """Return the values of a row that are fields of a record, by name; not those of ``but``."""
    return {name: getattr(row, name) for name in shared_names(record, type(row), but)}


def column_values(record: Any, table: Table) -> dict[str, Any]:
    """Return the values of a record that are columns of a table, by name."""
    return {name: getattr(record, name) for name in shared_names(record.__class__, table)}


def set_columns(row: DeclarativeBase, values: dict[str, Any]) -> None:
    """Set columns of a row by name."""
    for name, value in values.items():
        setattr(row, name, value)
