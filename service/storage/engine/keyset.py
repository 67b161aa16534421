"""Lists newest first, in as many steps as a page has rows, however many rows there are.

A list filtered by combination finds what matches in as many places of the index (combination, id)
as combinations match. To sort all of it costs more with every run that is made, and to walk back
through all rows costs most where nothing that matches is recent. So the newest row of each
combination is looked up first: the newest ``limit`` rows belong to the ``limit`` combinations
whose newest rows are newest, and each of these brings no more than ``limit`` rows of its own.
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
"""What one of these stands for is few enough to be sorted."""


def newest(
    table: type[RunRow] | type[StudyRow] | type[ExternalRunRow],
    which: CombinationFilter,
    limit: int,
    before: str | None,
    **equal: Any,
) -> Select[Any]:
    """Return the query for the newest rows of a table, newest first.

    Args:
        table: what is listed; it needs the index (combination_id, id).
        which: of which combinations.
        limit: rows at most.
        before: only ids below this one; all if None.
        equal: values that columns must have; None for any.
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
        """Return the id at a place of a combination's list, counted from its newest."""
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
    """Return three names of a table, made once: that takes longer than the rest of a query."""
    return aliased(table), aliased(table), aliased(table)
