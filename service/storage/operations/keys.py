"""The store of API keys.

The text of a key is ``hamtune_ID_SECRET``. The id finds the row; the digests of the secrets are
compared in constant time. The secret has 256 random bits, so it cannot be guessed however fast the
hash is. A slow hash, made for passwords that people choose, would only slow down every request.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime, timedelta

from sqlalchemy import select

from service.clock import Clock
from service.errors import NotFound
from service.ids import new_id
from service.records import UNLIMITED, ApiKey, Limits, Scope
from service.storage.engine.database import Database
from service.storage.engine.mapping import column_values, field_values
from service.storage.engine.retries import retry_transactions
from service.storage.studies.quotas import key_limits
from service.storage.tables import ApiKeyRow

USE_IS_NOTED_EVERY = timedelta(hours=1)
_TOKEN = re.compile(r"hamtune_([0-9a-z]{26})_([A-Za-z0-9_-]{43})")
_NO_DIGEST = "0" * 64


@retry_transactions
class KeyStore:
    """API keys: created, verified with every request, revoked."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def create(self, name: str, scope: Scope, limits: Limits = UNLIMITED) -> tuple[ApiKey, str]:
        """Create a key and return it with its text. The text is not stored."""
        id, secret = new_id("key"), secrets.token_urlsafe(32)
        row = ApiKeyRow(
            id=id,
            name=name,
            scope=scope,
            digest=_digest(secret),
            **column_values(limits, ApiKeyRow),
            created_at=self._clock(),
        )
        with self._database.write() as session:
            session.add(row)
            session.flush()
            return _record(row), f"hamtune_{id.removeprefix('key_')}_{secret}"

    def list(self) -> list[ApiKey]:
        """Return all keys, revoked ones included, oldest first."""
        with self._database.read() as session:
            return [
                _record(row) for row in session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.id))
            ]

    def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key and return it. A revoked key stays as it is.

        Raises:
            NotFound: there is no such key.
        """
        with self._database.write() as session:
            row = session.get(ApiKeyRow, key_id)
            if row is None:
                raise NotFound(f"there is no key {key_id!r}; hamtune keys list shows all")
            row.revoked_at = row.revoked_at or self._clock()
            return _record(row)

    def verify(self, token: str) -> ApiKey | None:
        """Return the live key with this text and note its use; None if there is none."""
        if (parts := _TOKEN.fullmatch(token)) is None:
            return None
        with self._database.read() as session:
            row = session.get(ApiKeyRow, f"key_{parts[1]}")
            digest = row.digest if row is not None else _NO_DIGEST
            right = hmac.compare_digest(digest, _digest(parts[2]))
            if row is None or not right or row.revoked_at is not None:
                return None
            key = _record(row)
        self._note_use(key)
        return key

    def _note_use(self, key: ApiKey) -> None:
        """Store the time of use, at most once an hour: a write with every request is too slow."""
        now: datetime = self._clock()
        if key.last_used_at is not None and now - key.last_used_at < USE_IS_NOTED_EVERY:
            return
        with self._database.write() as session:
            session.get_one(ApiKeyRow, key.id).last_used_at = now


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _record(row: ApiKeyRow) -> ApiKey:
    return ApiKey(**field_values(row, ApiKey), limits=key_limits(row))
