"""Columns of exported tables, derived from the records that their rows are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from ham.config import Combination, HamConfig
from service.api.exports.writers import Column, Row

_FLATTENED: dict[str, type] = {"combination": Combination, "setting": HamConfig}
"""Fields that have a column for each of their own fields, where they are of this type."""


class Columns:
    """The columns of one table.

    Each field of a record becomes a column of its name. Numbers and truth values keep their type;
    other values are text, nested ones as JSON. A field that the records share is one column.

    Args:
        records: pydantic models and dataclasses; a row is made of one of each.
        extra: types of further columns, by name.
        first: names of the columns that come first. The others follow in the order of the fields.
            So a new field becomes the last column, wherever the record has it.
        renamed: names of columns, by field, where a field of a flattened record has the same name.
        left_out: why a field has no column, by field.

    Attributes:
        columns: names and types, in order.
    """

    def __init__(
        self,
        *records: type,
        extra: Mapping[str, type] | None = None,
        first: Sequence[str] = (),
        renamed: Mapping[str, str] | None = None,
        left_out: Mapping[str, str] | None = None,
    ) -> None:
        self.records = records
        self.left_out = dict(left_out or {})
        self._renamed = dict(renamed or {})
        types = dict(extra or {})
        for record in records:
            types |= self._types(record)
        names = dict.fromkeys((*first, *types))
        self.columns: tuple[Column, ...] = tuple((name, types[name]) for name in names)

    def row(self, *records: Any, **extra: Any) -> Row:
        """Return one row of the table.

        Args:
            records: one of each type of record.
            extra: values of the extra columns.
        """
        values = dict(extra)
        for record in records:
            values |= self._values(record)
        return {name: values[name] for name, _ in self.columns}

    def _types(self, record: type) -> dict[str, type]:
        types: dict[str, type] = {}
        for name, annotation in field_types(record).items():
            if name in self.left_out:
                continue
            if annotation is _FLATTENED.get(name):
                parts = field_types(annotation)
                types |= {part: _column_type(parts[part]) for part in parts}
            else:
                types[self._renamed.get(name, name)] = _column_type(annotation)
        return types

    def _values(self, record: Any) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, value in _plain_values(record, self.left_out).items():
            kind = _FLATTENED.get(name)
            if kind is not None and isinstance(getattr(record, name), kind):
                values |= value
            else:
                values[self._renamed.get(name, name)] = value
        return values


def field_types(record: Any) -> dict[str, Any]:
    """Return the types of the fields of a pydantic model or a dataclass, in order."""
    if issubclass(record, BaseModel):
        return {name: field.annotation for name, field in record.model_fields.items()}
    hints = get_type_hints(record)
    return {field.name: hints[field.name] for field in fields(record)}


def _column_type(annotation: Any) -> type:
    """Return bool, int or float for a field of that type, or of that type or None; else text."""
    optional = get_origin(annotation) in (Union, UnionType)
    kinds = set(get_args(annotation) if optional else (annotation,)) - {NoneType}
    return next((kind for kind in (bool, int, float) if kinds == {kind}), str)


def _plain_values(record: Any, left_out: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a record as JSON values, also those that the API leaves out."""
    if is_dataclass(record) and not isinstance(record, type):
        return asdict(record)
    values: dict[str, Any] = record.model_dump(mode="json", exclude=set(left_out))
    for name in type(record).model_fields:
        if name not in values and name not in left_out:
            values[name] = to_jsonable_python(getattr(record, name))
    return values
