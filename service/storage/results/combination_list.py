"""What was ever asked for, and what has become of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, Select, func, select

from ham.client.records import ALL_COMBINATIONS, CombinationEntry, CombinationFilter
from service.errors import NotFound
from service.storage.engine.database import Database
from service.storage.engine.retries import resilient
from service.storage.results.combinations import combination_record, matches
from service.storage.tables import CombinationRow, RecommendationRow, StudyRow


@resilient
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
                    "that were ever asked for"
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
        id=combination.id,
        key=combination.key,
        combination=combination_record(combination),
        studies=studies,
        recommendations=recommendations,
    )
