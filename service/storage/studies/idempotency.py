"""Idempotency keys: each stands for one study or sweep of a submitter until it expires."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.errors import Conflict
from service.storage.tables import IdempotencyKeyRow

T = TypeVar("T")

LIFETIME = timedelta(days=30)
"""After this time a key expires and can be used again."""


def once(attempt: Callable[[], T], key: str | None) -> T:
    """Submit under a key; submit again if another process stored the same key meanwhile."""
    try:
        return attempt()
    except IntegrityError:
        if key is None:
            raise
        return attempt()  # finds the key


def known_key(
    session: Session, submitter: str, key: str, now: datetime
) -> IdempotencyKeyRow | None:
    """Return the row of a submitter's key; None if it is unknown or has expired."""
    row = session.get(IdempotencyKeyRow, (submitter, key))
    return row if row is not None and row.created_at > now - LIFETIME else None


def keep_key(
    session: Session,
    submitter: str,
    key: str,
    now: datetime,
    *,
    study_id: str | None = None,
    sweep_id: str | None = None,
) -> None:
    """Store a key for the study or sweep of this transaction; delete the keys that expired."""
    session.execute(
        delete(IdempotencyKeyRow).where(IdempotencyKeyRow.created_at <= now - LIFETIME)
    )
    session.add(
        IdempotencyKeyRow(
            submitter=submitter, key=key, study_id=study_id, sweep_id=sweep_id, created_at=now
        )
    )


def other_request(key: str, stands_for: str) -> Conflict:
    """Return the error for a key that was used for another request."""
    return Conflict(
        f"Idempotency-Key {key!r} already stands for {stands_for}, which was another "
        "request; send a new key with a new request"
    )
