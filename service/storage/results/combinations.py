"""Combinations: one row each, made when first used."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from ham.client.records import CombinationFilter
from ham.config import Combination
from service.storage.tables import CombinationRow

_MADE_HERE = "combinations made in this transaction"


def combination_id(
    session: Session, combination: Combination, known: dict[str, int] | None = None
) -> int:
    """Return the row id of a combination, inserting it if it is new.

    Args:
        session: a transaction.
        combination: which.
        known: ids by key that were asked for before, since a row never changes; added to.
    """
    if known is not None and (id := known.get(combination.key)) is not None:
        return id
    query = select(CombinationRow.id).where(CombinationRow.key == combination.key)
    made = session.info.setdefault(_MADE_HERE, set())
    if (found := session.scalars(query).one_or_none()) is not None:
        if known is not None and combination.key not in made:  # that could be rolled back
            known[combination.key] = found
        return found
    session.execute(
        insert_for(session)(CombinationRow)
        .values(key=combination.key, **asdict(combination))
        .on_conflict_do_nothing(index_elements=["key"])
    )
    made.add(combination.key)
    return session.scalars(query).one()


def insert_for(session: Session) -> Any:
    """Return the INSERT of this database that knows ON CONFLICT."""
    postgres = session.get_bind().dialect.name == "postgresql"
    return postgresql.insert if postgres else sqlite.insert


def combination_record(row: CombinationRow) -> Combination:
    """Turn a row into a combination."""
    return Combination.stored(
        model=row.model,
        dataset=row.dataset,
        sparsifier=row.sparsifier,
        sparsity=row.sparsity,
        optimizer=row.optimizer,
        recipe=row.recipe,
    )


def matches(which: CombinationFilter) -> list[ColumnElement[bool]]:
    """Return the conditions on :class:`CombinationRow` that a filter stands for."""
    wanted = which.model_dump(exclude_none=True)
    return [getattr(CombinationRow, field) == value for field, value in wanted.items()]
