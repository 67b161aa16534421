"""The queue of studies in SQL: an atomic claim, a lease, and a fencing token on every write."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.clock import Clock
from service.errors import StaleLease
from service.ids import new_id
from service.records import Claim, NewRecommendation, Recommendation, Study, StudyState
from service.storage.base import NO_PAUSE
from service.storage.database import Database
from service.storage.recommendations import recommendation_record
from service.storage.studies import study_record
from service.storage.tables import (
    CombinationRow,
    RecommendationRow,
    StudyEventRow,
    StudyRow,
)


def guard(session: Session, claim: Claim) -> StudyRow:
    """Lock the study of a claim for this transaction, or raise :class:`StaleLease`."""
    row = session.scalars(
        select(StudyRow)
        .where(
            StudyRow.id == claim.study_id,
            StudyRow.token == claim.token,
            StudyRow.state == StudyState.RUNNING,
        )
        .with_for_update(of=StudyRow)
    ).one_or_none()
    if row is None:
        raise StaleLease(
            f"study {claim.study_id} is no longer held under token {claim.token}: it has ended "
            "or another runner has taken it over; stop working on it"
        )
    return row


def _lock_combination(session: Session, study: StudyRow) -> None:
    """Let studies of one combination that end together take their versions one by one."""
    session.execute(
        select(CombinationRow.id)
        .where(CombinationRow.id == study.combination_id)
        .with_for_update()
    )


class SqlQueue:
    """Implements :class:`service.storage.base.Queue`."""

    def __init__(self, database: Database, clock: Clock, max_attempts: int) -> None:
        self._database = database
        self._clock = clock
        self._max_attempts = max_attempts

    def claim(self, owner: str, lease: timedelta) -> tuple[Study, Claim] | None:
        """Take up the oldest study that is queued or whose lease ran out."""
        with self._database.write() as session:
            while (row := self._next(session)) is not None:
                if row.attempts < self._max_attempts:
                    break
                self._end(session, row, StudyState.FAILED, self._given_up(row))
            if row is None:
                return None
            row.attempts += 1
            row.token += 1
            row.started_at = row.started_at or self._clock()
            row.error = None
            row.lease_owner = owner
            row.claimable_at = self._clock() + lease
            self._move(session, row, StudyState.RUNNING, "claimed")
            session.flush()
            return study_record(row), Claim(study_id=row.id, token=row.token)

    def heartbeat(self, claim: Claim, lease: timedelta) -> None:
        """Prolong the lease."""
        with self._database.write() as session:
            guard(session, claim).claimable_at = self._clock() + lease

    def release(
        self, claim: Claim, reason: str, pause: timedelta = NO_PAUSE, *, lost: bool = False
    ) -> None:
        """Give the study back to the queue."""
        with self._database.write() as session:
            row = guard(session, claim)
            row.claimable_at = self._clock() + pause
            row.error = reason
            if not lost:
                row.attempts -= 1
            self._move(session, row, StudyState.QUEUED, reason)

    def succeed(self, claim: Claim, result: NewRecommendation) -> Recommendation:
        """End the study and store its recommendation as the combination's newest version."""
        with self._database.write() as session:
            study = guard(session, claim)
            _lock_combination(session, study)
            newest = session.scalar(
                select(func.max(RecommendationRow.version)).where(
                    RecommendationRow.combination_id == study.combination_id
                )
            )
            row = RecommendationRow(
                id=new_id("rec"),
                combination_id=study.combination_id,
                study_id=study.id,
                version=(newest or 0) + 1,
                created_at=self._clock(),
                grade=result.grade,
                alpha=result.setting.alpha,
                beta=result.setting.beta,
                result=result.model_dump(mode="json"),
            )
            session.add(row)
            self._end(session, study, StudyState.SUCCEEDED, None)
            session.flush()
            return recommendation_record(row)

    def fail(self, claim: Claim, reason: str) -> None:
        """End the study as failed."""
        with self._database.write() as session:
            self._end(session, guard(session, claim), StudyState.FAILED, reason)

    def _next(self, session: Session) -> StudyRow | None:
        return session.scalars(
            select(StudyRow)
            .where(StudyRow.claimable_at <= self._clock())
            .order_by(StudyRow.id)
            .limit(1)
            .with_for_update(of=StudyRow, skip_locked=True)
        ).one_or_none()

    def _given_up(self, row: StudyRow) -> str:
        return (
            f"given up after {row.attempts} runners ended over it without a result "
            f"(HAMTUNE_MAX_ATTEMPTS); the last reason: {row.error or 'its runner vanished'}"
        )

    def _end(self, session: Session, row: StudyRow, state: StudyState, reason: str | None) -> None:
        row.ended_at = self._clock()
        row.error = reason
        row.claimable_at = None
        self._move(session, row, state, reason)

    def _move(
        self, session: Session, row: StudyRow, state: StudyState, reason: str | None
    ) -> None:
        row.state = state
        session.add(
            StudyEventRow(
                study_id=row.id,
                at=self._clock(),
                owner=row.lease_owner,
                state=state,
                reason=reason,
            )
        )
        session.flush()
