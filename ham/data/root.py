"""Where datasets that do not come with a package are looked for."""

from __future__ import annotations

from pathlib import Path

from ham.errors import HamError
from ham.specs import DATA_VARIABLE as VARIABLE
from ham.specs import data_root

__all__ = ["VARIABLE", "DataNotFound", "data_root", "not_found"]


class DataNotFound(HamError, FileNotFoundError):
    """A dataset's files are not where they are looked for."""


def not_found(what: str, expected: Path) -> DataNotFound:
    """Return the error that says what to put where."""
    return DataNotFound(
        f"{what} is not at {expected}; put it there, or set {VARIABLE} to the folder that has it"
    )
