"""Combinations in what was stored, or was answered by a service with other plug-ins."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

from pydantic import BeforeValidator

from ham.config import Combination

_NAMES = {field.name for field in fields(Combination)}


def _read(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == _NAMES:
        return Combination.stored(**value)
    return value


StoredCombination = Annotated[Combination, BeforeValidator(_read)]
"""A combination whose names need not be registered here: they were checked when it was made."""
