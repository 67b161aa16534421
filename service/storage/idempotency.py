"""Idempotency keys: what a submitter's key stands for, until it expires."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from service.errors import Conflict
from service.storage.tables import IdempotencyKeyRow

LIFETIME = timedelta(days=30)
"""After so long a key is forgotten, and may stand for something new."""


def known_key(
    session: Session, submitter: str, key: str, now: datetime
) -> IdempotencyKeyRow | None:
    """Return what a key of a submitter stands for."""
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
    """Let a key stand for what this transaction stores; forget the keys that expired."""
    session.execute(
        delete(IdempotencyKeyRow).where(IdempotencyKeyRow.created_at <= now - LIFETIME)
    )
    session.add(
        IdempotencyKeyRow(
            submitter=submitter, key=key, study_id=study_id, sweep_id=sweep_id, created_at=now
        )
    )


def other_request(key: str, stands_for: str) -> Conflict:
    """Return the refusal of a key that was used for another request."""
    return Conflict(
        f"Idempotency-Key {key!r} already stands for {stands_for}, which asked for something "
        "else; send a new key with a new request"
    )
