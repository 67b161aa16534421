"""Quotas of submitters: queued studies, and GPU hours within 30 days."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, literal_column, select
from sqlalchemy.orm import Session

from ham.client.records import LOCAL
from service.errors import LimitReached
from service.records import Limits
from service.storage.engine.mapping import field_values
from service.storage.tables import ApiKeyRow, StudyRow, SubmitterRow

WINDOW = timedelta(days=30)
_RETRY_AFTER_GPU_HOURS = 3600


class Quotas:
    """Checks submissions and claims against the limits of submitters.

    Args:
        default: limits where the submitter's API key has none of its own.
    """

    def __init__(self, default: Limits) -> None:
        self._default = default

    def check(self, session: Session, submitter: str, studies: int, now: datetime) -> None:
        """Check that a submitter may queue some more studies.

        Raises:
            LimitReached: too many would be queued, or the GPU hours are used up.
        """
        limits = self._of(session, submitter)
        if limits.max_queued_studies is not None:
            _check_room(session, submitter, studies, limits.max_queued_studies)
        if self._used_up(session, submitter, limits, now):
            raise LimitReached(
                f"your studies have used the {limits.gpu_hours:g} GPU hours allowed in "
                f"{WINDOW.days} days (HAMTUNE_GPU_HOURS, or your key's own limit); submit again "
                "when the older trainings are past, or ask the operator of the service for more",
                _RETRY_AFTER_GPU_HOURS,
            )

    def may_begin(self, session: Session, submitter: str, now: datetime) -> bool:
        """Return whether a queued study may be claimed: False once the GPU hours are used up."""
        return not self._used_up(session, submitter, self._of(session, submitter), now)

    def _of(self, session: Session, submitter: str) -> Limits:
        key = None if submitter == LOCAL else session.get(ApiKeyRow, submitter)
        own = key_limits(key).model_dump(exclude_none=True) if key is not None else {}
        return self._default.model_copy(update=own)

    def _used_up(self, session: Session, submitter: str, limits: Limits, now: datetime) -> bool:
        if limits.gpu_hours is None:
            return False
        used = select(func.sum(StudyRow.gpu_seconds)).where(
            StudyRow.submitter == submitter,
            StudyRow.gpu_seconds > literal_column("0"),
            StudyRow.ended_at.is_(None) | (StudyRow.ended_at > now - WINDOW),
        )
        return (session.scalar(used) or 0.0) >= 3600 * limits.gpu_hours


def key_limits(row: ApiKeyRow) -> Limits:
    """Return the limits of an API key."""
    return Limits(**field_values(row, Limits))


def _check_room(session: Session, submitter: str, studies: int, most: int) -> None:
    """Check the number of queued studies under a lock of the submitter's row.

    Of two concurrent submissions, one then sees the other.
    """
    session.execute(
        select(SubmitterRow.name)
        .where(SubmitterRow.name == submitter)
        .with_for_update(key_share=True)
    )
    waiting = session.scalar(
        select(func.count()).where(
            StudyRow.submitter == submitter, StudyRow.state == literal_column("'queued'")
        )
    )
    if (waiting or 0) + studies > most:
        raise LimitReached(
            f"you have {waiting} queued studies, and at most {most} are allowed "
            "(HAMTUNE_MAX_QUEUED_STUDIES, or your key's own limit); wait until some have begun, "
            "or cancel some"
        )
