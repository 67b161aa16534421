"""Combinations in what was stored, or was answered by a service with other plug-ins."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ham.config import Combination

_NAMES = {field.name for field in fields(Combination)}


def _read(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == _NAMES:
        return Combination.stored(**value)
    return value


StoredCombination = Annotated[Combination, BeforeValidator(_read)]
"""A combination whose names need not be registered here: they were checked when it was made."""


class CombinationEntry(BaseModel):
    """A combination that was asked for, and what has become of it."""

    model_config = ConfigDict(frozen=True)

    id: int
    key: str = Field(description="Canonical; runs carry it.")
    combination: StoredCombination
    studies: int = Field(description="Studies of it, in any state.")
    recommendations: int = Field(description="Versions of its recommendation; 0: not tuned yet.")
