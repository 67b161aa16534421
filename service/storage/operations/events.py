"""The store of study events."""

from __future__ import annotations

from sqlalchemy import func, select

from ham.client.records import StudyEvent
from service.storage.engine.database import Database
from service.storage.engine.mapping import field_values
from service.storage.engine.retries import retry_transactions
from service.storage.tables import StudyEventRow


@retry_transactions
class EventStore:
    """Events of studies. Their ids grow in the order in which they become visible."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def after(
        self, position: int, *, study_id: str | None = None, limit: int = 200
    ) -> list[StudyEvent]:
        """Return at most ``limit`` events with larger ids, oldest first; of one study or all."""
        query = (
            select(StudyEventRow)
            .where(StudyEventRow.id > position)
            .order_by(StudyEventRow.id)
            .limit(limit)
        )
        if study_id is not None:
            query = query.where(StudyEventRow.study_id == study_id)
        with self._database.read() as session:
            return [_record(row) for row in session.scalars(query)]

    def newest(self) -> int:
        """Return the id of the newest event, 0 before the first."""
        with self._database.read() as session:
            return session.scalar(select(func.max(StudyEventRow.id))) or 0


def _record(row: StudyEventRow) -> StudyEvent:
    return StudyEvent(**field_values(row, StudyEvent), by=row.owner)
