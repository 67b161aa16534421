"""The store of log lines: every API process can read them, wherever the runner was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, delete, func, select

from ham.client.records import LogLevel, LogLine, NewLogLine
from service.records import StudyLease
from service.storage.engine.database import Database
from service.storage.engine.mapping import column_values, field_values
from service.storage.engine.retries import retry_transactions
from service.storage.studies.leases import stale_lease
from service.storage.tables import LogLineRow, StudyRow


@retry_transactions
class LogStore:
    """Log lines of studies and runs, until they are removed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, lease: StudyLease, lines: Sequence[NewLogLine]) -> None:
        """Store log lines under the last lease of a study, also just after the study has ended.

        Raises:
            StaleLease: another runner has taken the study over.
        """
        with self._database.write() as session:
            if session.scalar(_held_last_by(lease)) is None:
                raise stale_lease(lease)
            session.add_all(
                LogLineRow(study_id=lease.study_id, **column_values(line, LogLineRow))
                for line in lines
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
        """Return log lines of a study or of a run, oldest first.

        Args:
            study_id: only lines of this study.
            run_id: only lines of this run.
            least: only lines of at least this level.
            limit: number of lines at most.
            after: only lines with larger ids; 0 is below every id.
        """
        levels = list(LogLevel)[list(LogLevel).index(least) :]
        query = select(LogLineRow).where(LogLineRow.id > after, LogLineRow.level.in_(levels))
        if study_id is not None:
            query = query.where(LogLineRow.study_id == study_id)
        if run_id is not None:
            query = query.where(LogLineRow.run_id == run_id)
        with self._database.read() as session:
            rows = session.scalars(query.order_by(LogLineRow.id).limit(limit))
            return [_record(row) for row in rows]

    def delete_before(self, before: datetime, *, dry_run: bool = False) -> int:
        """Remove the log lines of studies that ended before a time; return their number.

        With ``dry_run`` nothing is removed.
        """
        ended = select(StudyRow.id).where(StudyRow.ended_at < before)
        old = LogLineRow.study_id.in_(ended)
        with self._database.write() as session:
            count = session.scalar(select(func.count()).where(old)) or 0
            if not dry_run:
                session.execute(delete(LogLineRow).where(old))
            return count


def _held_last_by(lease: StudyLease) -> Select[str]:
    return select(StudyRow.id).where(StudyRow.id == lease.study_id, StudyRow.token == lease.token)


def _record(row: LogLineRow) -> LogLine:
    return LogLine(**field_values(row, LogLine))
