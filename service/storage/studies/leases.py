"""The lease of a study: every write of a runner first locks the study under its lease."""

from __future__ import annotations

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from ham.client.records import HELD
from service.errors import StaleLease
from service.records import StudyLease
from service.storage.tables import StudyRow


def lock_leased_study(session: Session, lease: StudyLease) -> StudyRow:
    """Lock the study of a lease for this transaction and return its row.

    Raises:
        StaleLease: another runner has taken the study over, or it has ended.
    """
    row = session.scalars(leased_study(lease).with_for_update(of=StudyRow)).one_or_none()
    if row is None:
        raise stale_lease(lease)
    return row


def leased_study(lease: StudyLease) -> Select[StudyRow]:
    """Return the query for the study of a lease; it finds nothing if the lease is not valid."""
    return select(StudyRow).where(
        StudyRow.id == lease.study_id, StudyRow.token == lease.token, StudyRow.state.in_(HELD)
    )


def stale_lease(lease: StudyLease) -> StaleLease:
    """Return the error for a write under an invalid lease."""
    return StaleLease(
        f"study {lease.study_id} is no longer held under token {lease.token}: it has ended "
        "or another runner has taken it over; stop working on it"
    )
