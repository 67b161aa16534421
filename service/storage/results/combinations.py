"""The store of combinations: one row each, inserted when a combination is first used."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.orm import Session

from ham.client.records import ALL_COMBINATIONS, CombinationEntry, CombinationFilter
from ham.config import Combination
from service.errors import NotFound
from service.storage.engine.database import Database, insert_for
from service.storage.engine.mapping import column_values, field_values
from service.storage.engine.retries import retry_transactions
from service.storage.tables import CombinationRow, RecommendationRow, StudyRow

_MADE_HERE = "combinations made in this transaction"


@retry_transactions
class CombinationStore:
    """Combinations that have been requested."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, combination_id: int) -> CombinationEntry:
        """Return a combination with the numbers of its studies and recommendations.

        Raises:
            NotFound: there is no such combination.
        """
        with self._database.read() as session:
            query = _entries().where(CombinationRow.id == combination_id)
            row = session.execute(query).one_or_none()
            if row is None:
                raise NotFound(
                    f"there is no combination {combination_id}; GET /v1/combinations lists those "
                    "that have been requested"
                )
            return _record(row)

    def list(
        self, which: CombinationFilter = ALL_COMBINATIONS, *, limit: int = 50, after: int = 0
    ) -> list[CombinationEntry]:
        """Return at most ``limit`` combinations with ids above ``after``, oldest first."""
        query = _entries().where(CombinationRow.id > after, *matches(which))
        with self._database.read() as session:
            found = session.execute(query.order_by(CombinationRow.id).limit(limit))
            return [_record(row) for row in found]


def _entries() -> Select[Any]:
    def count_of(table: type[StudyRow] | type[RecommendationRow]) -> Any:
        mine = table.combination_id == CombinationRow.id
        return select(func.count()).where(mine).correlate(CombinationRow).scalar_subquery()

    return select(CombinationRow, count_of(StudyRow), count_of(RecommendationRow))


def _record(row: Row[*tuple[Any, ...]]) -> CombinationEntry:
    combination, studies, recommendations = row
    return CombinationEntry(
        **field_values(combination, CombinationEntry),
        combination=combination_record(combination),
        studies=studies,
        recommendations=recommendations,
    )


def combination_id(
    session: Session, combination: Combination, known: dict[str, int] | None = None
) -> int:
    """Return the row id of a combination; insert the row if there is none.

    Args:
        session: a writing transaction.
        combination: the combination.
        known: cache of ids by key, filled here. A row never changes.
    """
    if known is not None and (id := known.get(combination.key)) is not None:
        return id
    query = select(CombinationRow.id).where(CombinationRow.key == combination.key)
    made = session.info.setdefault(_MADE_HERE, set())
    if (found := session.scalars(query).one_or_none()) is not None:
        if (
            known is not None and combination.key not in made
        ):  # else a rollback would leave a false id
            known[combination.key] = found
        return found
    session.execute(
        insert_for(session)(CombinationRow)
        .values(key=combination.key, **column_values(combination, CombinationRow))
        .on_conflict_do_nothing(index_elements=["key"])
    )
    made.add(combination.key)
    return session.scalars(query).one()


def combination_record(row: CombinationRow) -> Combination:
    """Return the combination in a row."""
    return Combination.stored(**field_values(row, Combination))


def matches(which: CombinationFilter) -> list[ColumnElement[bool]]:
    """Return the conditions on :class:`CombinationRow` for a filter."""
    wanted = which.model_dump(exclude_none=True)
    return [getattr(CombinationRow, field) == value for field, value in wanted.items()]
