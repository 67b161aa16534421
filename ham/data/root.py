"""Where datasets that do not come with a package are looked for."""

from __future__ import annotations

import os
from pathlib import Path

from ham.errors import HamError

VARIABLE = "HAM_DATA_DIR"


class DataNotFound(HamError, FileNotFoundError):
    """A dataset's files are not where they are looked for."""


def data_root() -> Path:
    """Return the folder named by ``HAM_DATA_DIR``, or ``~/.cache/ham``."""
    return Path(os.environ.get(VARIABLE) or Path.home() / ".cache" / "ham")


def not_found(what: str, expected: Path) -> DataNotFound:
    """Return the error that says what to put where."""
    return DataNotFound(
        f"{what} is not at {expected}; put it there, or set {VARIABLE} to the folder that has it"
    )
