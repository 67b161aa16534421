"""Combinations that a service has stored; their plug-ins need not be installed here."""

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
    """A combination that has been requested, with counts of its studies and recommendations."""

    model_config = ConfigDict(frozen=True)

    id: int
    key: str = Field(description="Canonical key; runs carry it.")
    combination: StoredCombination
    studies: int = Field(description="Number of studies of this combination, in any state.")
    recommendations: int = Field(
        description="Number of versions of its recommendation; 0 if it has not been tuned."
    )
