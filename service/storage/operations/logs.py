"""Logs of studies in SQL, so that every API process has them wherever the runner was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, delete, func, select

from ham.client.records import LogLevel, LogLine, NewLogLine
from service.records import StudyLease
from service.storage.engine.database import Database
from service.storage.engine.retries import resilient
from service.storage.studies.queue import stale
from service.storage.tables import LogLineRow, StudyRow


@resilient
class SqlLogStore:
    """Implements :class:`service.storage.smaller_stores.LogStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, claim: StudyLease, lines: Sequence[NewLogLine]) -> None:
        """Store lines from whoever held the study last."""
        with self._database.write() as session:
            if session.scalar(_held_last_by(claim)) is None:
                raise stale(claim)
            session.add_all(
                LogLineRow(study_id=claim.study_id, **line.model_dump()) for line in lines
            )

    def page(
        self,
        *,
        study_id: str | None = None,
        run_id: str | None = None,
        least: LogLevel = LogLevel.DEBUG,
        limit: int = 200,
        after: int = 0,
    ) -> list[LogLine]:
        """Return lines of a study or about a run, oldest first."""
        levels = list(LogLevel)[list(LogLevel).index(least) :]
        query = select(LogLineRow).where(LogLineRow.id > after, LogLineRow.level.in_(levels))
        if study_id is not None:
            query = query.where(LogLineRow.study_id == study_id)
        if run_id is not None:
            query = query.where(LogLineRow.run_id == run_id)
        with self._database.read() as session:
            rows = session.scalars(query.order_by(LogLineRow.id).limit(limit))
            return [_record(row) for row in rows]

    def forget(self, before: datetime, *, dry_run: bool = False) -> int:
        """Remove the lines of studies that ended before a time; return how many."""
        ended = select(StudyRow.id).where(StudyRow.ended_at < before)
        old = LogLineRow.study_id.in_(ended)
        with self._database.write() as session:
            count = session.scalar(select(func.count()).where(old)) or 0
            if not dry_run:
                session.execute(delete(LogLineRow).where(old))
            return count


def _held_last_by(claim: StudyLease) -> Select[str]:
    return select(StudyRow.id).where(StudyRow.id == claim.study_id, StudyRow.token == claim.token)


def _record(row: LogLineRow) -> LogLine:
    return LogLine(
        id=row.id,
        study_id=row.study_id,
        run_id=row.run_id,
        at=row.at,
        level=row.level,
        event=row.event,
        details=row.details,
    )
