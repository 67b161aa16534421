"""The store of Pareto fronts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from ham.client.records import ALL_COMBINATIONS, CombinationFilter, NewParetoFront, ParetoFront
from service.storage.engine.database import Database
from service.storage.engine.mapping import field_values
from service.storage.engine.retries import retry_transactions
from service.storage.results.combinations import matches
from service.storage.tables import ParetoFrontRow, StudyRow


@retry_transactions
class ParetoFrontStore:
    """Pareto fronts: the results of studies of two objectives."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_study(self, study_id: str) -> ParetoFront | None:
        """Return the Pareto front of a study; None if it has none."""
        with self._database.read() as session:
            row = session.get(ParetoFrontRow, study_id)
            return None if row is None else pareto_front_record(row)

    def list(
        self,
        which: CombinationFilter = ALL_COMBINATIONS,
        *,
        limit: int = 50,
        before: str | None = None,
    ) -> list[ParetoFront]:
        """Return at most ``limit`` fronts, newest first, of studies with ids below ``before``.

        A front spans sparsities, so the filter's sparsity is ignored.
        """
        query = select(ParetoFrontRow).order_by(ParetoFrontRow.study_id.desc()).limit(limit)
        if conditions := matches(which.model_copy(update={"sparsity": None})):
            query = query.join(ParetoFrontRow.study).join(StudyRow.combination).where(*conditions)
        if before is not None:
            query = query.where(ParetoFrontRow.study_id < before)
        with self._database.read() as session:
            return [pareto_front_record(row) for row in session.scalars(query)]


def add_pareto_front(
    session: Session, study: StudyRow, result: NewParetoFront, now: datetime
) -> ParetoFrontRow:
    """Store the Pareto front of a study."""
    row = ParetoFrontRow(study_id=study.id, created_at=now, result=result.model_dump(mode="json"))
    session.add(row)
    return row


def pareto_front_record(row: ParetoFrontRow) -> ParetoFront:
    """Return the Pareto front in a row."""
    result = NewParetoFront.model_validate(row.result)
    return ParetoFront(**dict(result), **field_values(row, ParetoFront))
