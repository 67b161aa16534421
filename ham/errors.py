"""The errors of the library. Each message has the rule, the offending value and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class HamError(Exception):
    """Base of every error that this library raises on purpose."""


class InvalidConfig(HamError, ValueError):
    """A field has a value that its rule forbids.

    Attributes:
        field: name of the offending field.
        value: the offending value.
        allowed: the rule in words, or the allowed values.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        super().__init__(f"{field}={value!r} is not allowed; {allowed}")


class UnknownName(InvalidConfig):
    """No registry entry has this name; the message suggests close matches."""

    def __init__(self, field: str, value: str, known: Iterable[str]) -> None:
        known = sorted(known)
        close = get_close_matches(value, known, n=3)
        hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
        super().__init__(field, value, f"{hint}known names: {', '.join(known) or 'none'}")


class IncompatibleCombination(InvalidConfig):
    """Each name is known, but the parts cannot be combined."""


class DivergedRun(HamError, ArithmeticError):
    """A loss or a parameter became infinite or NaN. A retry of the same run config cannot help."""
