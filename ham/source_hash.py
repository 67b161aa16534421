"""The hash of ham's source files, which identifies the code that produced a result.

Only code of an equal hash reuses runs, resumes checkpoints and shares worker processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
_NO_PART_IN_TRAINING = {"client", "__pycache__"}


@cache
def source_hash() -> str:
    """Return the hash of the installed package; see :func:`hash_of`."""
    return hash_of(PACKAGE)


def hash_of(package: Path) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of the files that can change a result.

    These are all files of the package, Python, C and any other, by path and content. The folder
    ``client`` and hidden files have no part in a training and are left out.
    """
    digest = hashlib.sha256()
    for path in sorted(_files(package)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _files(package: Path) -> Iterator[Path]:
    for path in package.rglob("*"):
        parts = path.relative_to(package).parts
        hidden = any(part.startswith(".") for part in parts)
        if path.is_file() and not hidden and not _NO_PART_IN_TRAINING.intersection(parts):
            yield path
