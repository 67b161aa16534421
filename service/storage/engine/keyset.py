"""Keyset pages: lists newest first, at a cost that depends on the size of the page only.

A list filtered by combination must merge the entries of all matching combinations in the index
(combination, id). Sorting all matching rows costs more with every run. Walking back through all
rows costs most if no recent row matches. Therefore the newest row of each combination is looked up
first: the newest ``limit`` rows belong to the ``limit`` combinations whose newest rows are newest,
and each of these contributes at most ``limit`` rows.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, func, select
from sqlalchemy.orm import aliased

from ham.client.records import CombinationFilter
from service.storage.results.combinations import matches
from service.storage.tables import CombinationRow, ExternalRunRow, RunRow, StudyRow

_SMALL_GROUPS = ("study_id", "sweep_id")
"""Columns whose values have few rows each, few enough to sort."""


def newest(
    table: type[RunRow] | type[StudyRow] | type[ExternalRunRow],
    which: CombinationFilter,
    limit: int,
    before: str | None,
    **equal: Any,
) -> Select[Any]:
    """Return the query for the newest rows of a table, newest first.

    Args:
        table: the table to list; it needs the index (combination_id, id).
        which: a filter of combinations.
        limit: maximum number of rows.
        before: only rows with smaller ids; None for all.
        equal: values of columns; None matches all.
    """
    fixed = {name: value for name, value in equal.items() if value is not None}

    def wanted(row: Any) -> list[ColumnElement[bool]]:
        found = [getattr(row, name) == value for name, value in fixed.items()]
        return found if before is None else [*found, row.id < before]

    query = select(table).order_by(table.id.desc()).limit(limit)
    matching = select(CombinationRow.id).where(*matches(which))
    if which == CombinationFilter():
        return query.where(*wanted(table))
    if not fixed.keys().isdisjoint(_SMALL_GROUPS):
        return query.where(*wanted(table), table.combination_id.in_(matching))

    def nth_newest_id(row: Any, rank: int, combination: Any, of: Any) -> ScalarSelect[Any]:
        """Return the id of rank ``rank`` in a combination, 0 for its newest row."""
        ids = select(row.id).where(row.combination_id == combination, *wanted(row))
        ids = ids.order_by(row.id.desc()).offset(rank).limit(1)
        return ids.correlate(of).scalar_subquery()

    row, first_row, last_row = _aliases(table)
    first = nth_newest_id(first_row, 0, CombinationRow.id, CombinationRow)
    chosen = matching.order_by(func.coalesce(first, "").desc()).limit(limit).cte("chosen")
    last = nth_newest_id(last_row, limit - 1, chosen.c.id, chosen)
    ids = (
        select(row.id)
        .join(chosen, row.combination_id == chosen.c.id)
        .where(*wanted(row), row.id >= func.coalesce(last, ""))
        .order_by(row.id.desc())
        .limit(limit)
    )
    return query.where(table.id.in_(ids))


@cache
def _aliases(table: type[Any]) -> tuple[Any, Any, Any]:
    """Return three aliases of a table, cached: making them takes longer than the query."""
    return aliased(table), aliased(table), aliased(table)
