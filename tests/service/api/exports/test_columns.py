"""Export columns: complete, and never moved."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from ham.config import HamConfig
from service.api.exports.columns import Columns, field_types
from service.api.exports.tables import EXPORTS, Table

FIRST_COLUMNS = json.loads((Path(__file__).parent / "columns.json").read_text())
"""The columns that readers of older exports know, as ``"name: type"`` by table."""

LEFT_OUT = {
    Table.RUNS: {"combination"},  # a key, whose parts have columns
    Table.RECOMMENDATIONS: {"surface"},  # large, and served at an address of its own
    Table.PARETO_FRONTS: {"points"},  # each point is a row
}
FLATTENED = {"combination", "setting"}
RENAMED = {"learning_rate": "absolute_learning_rate", "weight_decay": "absolute_weight_decay"}


@pytest.mark.parametrize("table", Table)
def test_every_field_of_every_record_has_a_column_but_those_named_here(table: Table) -> None:
    columns = EXPORTS[table].columns
    names = {name for name, _ in columns.columns}
    missing = set()
    for record in columns.records:
        for name, annotation in field_types(record).items():
            flat = name in FLATTENED and annotation is not str
            wanted = set(field_types(annotation)) if flat else {name}
            missing |= {name} if wanted - names else set()
    assert missing == LEFT_OUT.get(table, set())
    if table == Table.RECOMMENDATIONS:
        assert set(RENAMED.values()) <= names


@pytest.mark.parametrize("table", Table)
def test_columns_are_added_at_the_end_and_never_renamed_or_moved(table: Table) -> None:
    columns = [f"{name}: {kind.__name__}" for name, kind in EXPORTS[table].columns.columns]
    known = FIRST_COLUMNS[table.value]
    assert columns[: len(known)] == known


class Inner(BaseModel):
    size: int


class Outer(BaseModel):
    setting: HamConfig
    learning_rate: float | None = Field(default=None, exclude_if=lambda value: value is None)
    inner: Inner
    sizes: tuple[int, ...]
    shown: bool | None


@dataclass
class Beside:
    epoch: int


def test_rows_have_a_value_for_every_column_also_where_the_api_leaves_it_out() -> None:
    columns = Columns(Outer, Beside, first=("epoch",), renamed={"learning_rate": "rate"})
    outer = Outer(setting=HamConfig(2, 0.5), inner=Inner(size=3), sizes=(1, 2), shown=None)
    row = columns.row(outer, Beside(epoch=7))
    assert list(row) == [name for name, _ in columns.columns]
    assert (row["epoch"], row["alpha"], row["rate"], row["learning_rate"]) == (7, 2, None, 1.0)
    assert (row["inner"], row["sizes"], row["shown"]) == ({"size": 3}, [1, 2], None)
    kinds = dict(columns.columns)
    assert (kinds["epoch"], kinds["rate"], kinds["shown"]) == (int, float, bool)
    assert kinds["inner"] is kinds["sizes"] is str
