"""The root folder of datasets that no package brings, and the error for missing files."""

from __future__ import annotations

from pathlib import Path

from ham.errors import HamError
from ham.specs import DATA_VARIABLE as VARIABLE
from ham.specs import data_root

__all__ = ["VARIABLE", "DataNotFound", "data_root", "not_found"]


class DataNotFound(HamError, FileNotFoundError):
    """The files of a dataset are missing from their folder."""


def not_found(dataset: str, expected: Path) -> DataNotFound:
    """Return the error that names the missing dataset, its expected folder and the variable."""
    return DataNotFound(
        f"{dataset} is not at {expected}; put it there, or set {VARIABLE} to the folder with it"
    )
