"""Pareto fronts in SQL."""

from __future__ import annotations

from sqlalchemy import select

from ham.client.records import ALL_COMBINATIONS, CombinationFilter, Front, NewFront
from service.storage.engine.database import Database
from service.storage.engine.retries import resilient
from service.storage.results.combinations import matches
from service.storage.tables import FrontRow, StudyRow


@resilient
class SqlFrontStore:
    """Implements :class:`service.storage.smaller_stores.FrontStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_study(self, study_id: str) -> Front | None:
        """Return the front that a study has reached, if it has."""
        with self._database.read() as session:
            row = session.get(FrontRow, study_id)
            return None if row is None else front_record(row)

    def list(
        self,
        which: CombinationFilter = ALL_COMBINATIONS,
        *,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Front]:
        """Return fronts, those of the newest studies first."""
        query = select(FrontRow).order_by(FrontRow.study_id.desc()).limit(limit)
        if conditions := matches(which.model_copy(update={"sparsity": None})):
            query = query.join(FrontRow.study).join(StudyRow.combination).where(*conditions)
        if before is not None:
            query = query.where(FrontRow.study_id < before)
        with self._database.read() as session:
            return [front_record(row) for row in session.scalars(query)]


def front_record(row: FrontRow) -> Front:
    """Turn a row into a record."""
    result = NewFront.model_validate(row.result)
    return Front(**dict(result), study_id=row.study_id, created_at=row.created_at)
