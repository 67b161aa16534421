"""Who may ask the service for what."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Scope(StrEnum):
    """What a key allows; each scope allows what the ones before it do."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"

    def allows(self, needed: Scope) -> bool:
        """Tell whether a key of this scope may do what needs ``needed``."""
        order = list(Scope)
        return order.index(self) >= order.index(needed)


class Limits(BaseModel):
    """What one submitter may have; what is None is not limited, or not otherwise than for all."""

    model_config = ConfigDict(frozen=True)

    max_queued_studies: int | None = Field(
        default=None, ge=1, description="Studies that may wait at a time."
    )
    gpu_hours: float | None = Field(
        default=None, ge=0, description="GPU hours of trainings within 30 days."
    )


UNLIMITED = Limits()


class ApiKey(BaseModel):
    """An API key, without its secret, which nobody but its holder has."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str = Field(description="Whose it is, or what it is for.")
    scope: Scope
    created_at: datetime
    last_used_at: datetime | None = Field(description="To the hour; null while never used.")
    revoked_at: datetime | None
    limits: Limits = Field(default=UNLIMITED, description="Of this key, instead of those of all.")


class Principal(BaseModel):
    """Who makes a request.

    Attributes:
        key_id: id of the key; None where the service demands no keys.
        scope: what it may do.
    """

    model_config = ConfigDict(frozen=True)

    key_id: str | None
    scope: Scope


ANYONE = Principal(key_id=None, scope=Scope.ADMIN)
"""Whoever asks a service that demands no keys."""
