"""API keys: scopes, limits, and the principal of a request."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Scope(StrEnum):
    """Scope of an API key; each scope includes the ones before it."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"

    def allows(self, needed: Scope) -> bool:
        """Return whether a key of this scope may do what needs the scope ``needed``."""
        order = list(Scope)
        return order.index(self) >= order.index(needed)


class Limits(BaseModel):
    """Limits of one submitter. None means no limit; for a key, the limit of the settings."""

    model_config = ConfigDict(frozen=True)

    max_queued_studies: int | None = Field(
        default=None, ge=1, description="Maximum number of queued studies."
    )
    gpu_hours: float | None = Field(
        default=None, ge=0, description="Maximum GPU hours of trainings within 30 days."
    )


UNLIMITED = Limits()


class ApiKey(BaseModel):
    """An API key without its secret, which only its holder has."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str = Field(description="Its owner or its use.")
    scope: Scope
    created_at: datetime
    last_used_at: datetime | None = Field(description="To the hour; null if it was never used.")
    revoked_at: datetime | None
    limits: Limits = Field(
        default=UNLIMITED, description="Limits of this key; they replace those of the settings."
    )


class Principal(BaseModel):
    """The caller of a request.

    Attributes:
        key_id: id of the API key; None if the service requires no keys.
        scope: what the caller may do.
    """

    model_config = ConfigDict(frozen=True)

    key_id: str | None
    scope: Scope


ANYONE = Principal(key_id=None, scope=Scope.ADMIN)
"""The principal of every request if the service requires no keys."""
