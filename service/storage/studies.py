"""Studies in SQL."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.clock import Clock
from service.errors import Conflict, NotFound
from service.ids import new_id
from service.records import (
    ALL_COMBINATIONS,
    CombinationFilter,
    Plan,
    Study,
    StudyRequest,
    StudyState,
)
from service.storage.combinations import combination_id, matches
from service.storage.database import Database
from service.storage.tables import IdempotencyKeyRow, StudyEventRow, StudyRow


class SqlStudyStore:
    """Implements :class:`service.storage.base.StudyStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def submit(
        self, request: StudyRequest, plan: Plan, idempotency_key: str | None = None
    ) -> tuple[Study, bool]:
        """Queue a study, once per idempotency key."""
        if idempotency_key is None:
            return self._insert(request, plan, None), True
        if earlier := self._by_key(idempotency_key, request):
            return earlier, False
        try:
            return self._insert(request, plan, idempotency_key), True
        except IntegrityError:  # another process stored the same key in between
            earlier = self._by_key(idempotency_key, request)
            if earlier is None:
                raise
            return earlier, False

    def get(self, study_id: str) -> Study:
        """Return a study."""
        with self._database.read() as session:
            return study_record(_study_row(session, study_id))

    def list(
        self,
        *,
        state: StudyState | None = None,
        which: CombinationFilter = ALL_COMBINATIONS,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Study]:
        """Return studies, newest first."""
        query = (
            select(StudyRow)
            .join(StudyRow.combination)
            .where(*matches(which))
            .order_by(StudyRow.id.desc())
            .limit(limit)
        )
        if state is not None:
            query = query.where(StudyRow.state == state)
        if before is not None:
            query = query.where(StudyRow.id < before)
        with self._database.read() as session:
            return [study_record(row) for row in session.scalars(query)]

    def _by_key(self, key: str, request: StudyRequest) -> Study | None:
        with self._database.read() as session:
            row = session.get(IdempotencyKeyRow, key)
            if row is None:
                return None
            study = study_record(_study_row(session, row.study_id))
        if study.request != request:
            raise Conflict(
                f"Idempotency-Key {key!r} already stands for study {study.id}, which asked for "
                "something else; send a new key with a new request"
            )
        return study

    def _insert(self, request: StudyRequest, plan: Plan, key: str | None) -> Study:
        now = self._clock()
        with self._database.write() as session:
            row = StudyRow(
                id=new_id("study"),
                combination_id=combination_id(session, plan.combination),
                state=StudyState.QUEUED,
                request=request.model_dump(mode="json"),
                plan=plan.model_dump(mode="json"),
                created_at=now,
                claimable_at=now,
                attempts=0,
                token=0,
            )
            session.add(row)
            session.flush()
            if key is not None:
                session.add(IdempotencyKeyRow(key=key, study_id=row.id, created_at=now))
            session.add(StudyEventRow(study_id=row.id, at=now, state=StudyState.QUEUED))
            session.flush()
            return study_record(row)


def _study_row(session: Session, study_id: str) -> StudyRow:
    row = session.get(StudyRow, study_id)
    if row is None:
        raise NotFound(f"there is no study {study_id!r}; GET /v1/studies lists those there are")
    return row


def study_record(row: StudyRow) -> Study:
    """Turn a row into a record."""
    return Study(
        id=row.id,
        state=row.state,
        request=StudyRequest.model_validate(row.request),
        plan=Plan.model_validate(row.plan),
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        attempts=row.attempts,
        error=row.error,
    )
