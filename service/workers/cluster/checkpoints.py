"""States of trainings under way, in a folder or a bucket: no crash costs more than an epoch.

``PLACE/STUDY/RUN-DIGEST/checkpoint_000003/4-81920.state`` is copied there by Ray Tune, and
``PLACE/STUDY/RUN-DIGEST/4-81920.state`` is written by a worker. A training finds its own again,
whichever runner takes it up on whichever machine that reaches the place.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pyarrow.fs import FileSelector, FileSystem, FileType

from service.logs import masked

logger = logging.getLogger(__name__)

_STUDY = re.compile(r"study_[0-9a-z]{26}")
_NUMBERED = re.compile(r"checkpoint_([0-9]+)")


class CheckpointStore(NamedTuple):
    """Where the states of all studies are kept.

    Attributes:
        files: what reads and writes there.
        folder: path, as ``files`` understands it.
    """

    files: FileSystem
    folder: str

    def checkpoints(self, folder: str) -> list[int]:
        """Return the numbers of the checkpoints in a folder of the place, newest first."""
        named = (_NUMBERED.fullmatch(entry.base_name) for entry in self._entries(folder))
        return sorted((int(found[1]) for found in named if found), reverse=True)

    def remove_older(self, folder: str, number: int) -> None:
        """Remove the checkpoints of a folder that are older than one of them."""
        for other in self.checkpoints(folder):
            if other < number:
                self.remove(f"{folder}/checkpoint_{other:06d}")

    def studies(self) -> Iterator[tuple[str, datetime | None]]:
        """Yield the folders of the place that belong to studies, and when they last changed."""
        for entry in self._entries(""):
            if entry.type == FileType.Directory and _STUDY.fullmatch(entry.base_name):
                within = self._entries(entry.base_name, recursive=True)
                times = [each.mtime for each in (entry, *within) if each.mtime is not None]
                yield entry.base_name, max(times, default=None)

    def remove(self, folder: str) -> None:
        """Remove a folder of the place with all that is in it, if it is there."""
        path = f"{self.folder}/{folder}"
        if self.files.get_file_info(path).type != FileType.NotFound:
            self.files.delete_dir(path)

    def _entries(self, folder: str, recursive: bool = False) -> list[Any]:
        path = f"{self.folder}/{folder}".rstrip("/")
        selector = FileSelector(path, allow_not_found=True, recursive=recursive)
        entries: list[Any] = self.files.get_file_info(selector)
        return entries


@cache
def open_checkpoint_store(place: str) -> CheckpointStore:
    """Return a place by its absolute path or its address, as ``s3://bucket/folder``.

    Raises:
        ValueError: the address is of no kind that is known.
        OSError: it cannot be reached.
    """
    files, folder = FileSystem.from_uri(place)
    return CheckpointStore(files, folder.rstrip("/"))


def path_of(place: str, folder: str) -> Path | None:
    """Return where a folder of a place lies among files; None where the place is a bucket."""
    if "://" in place and not place.startswith("file://"):
        return None
    return Path(open_checkpoint_store(place).folder, folder)


def check_checkpoint_store(place: str) -> None:
    """Write a file there and remove it.

    Raises:
        ValueError: that cannot be done; it says why.
    """
    try:
        files, folder = open_checkpoint_store(place)
        probe = f"{folder}/.probe-{secrets.token_hex(4)}"
        files.create_dir(folder)
        with files.open_output_stream(probe) as stream:
            stream.write(b"hamtune")
        files.delete_file(probe)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"HAMTUNE_CHECKPOINTS: states of trainings cannot be kept at {masked(place)}: "
            f"{masked(str(error))}; name a folder or a bucket that this machine may write to"
        ) from error


def forget(place: str, folder: str) -> None:
    """Remove a folder of a place; where that fails, it is left behind."""
    try:
        open_checkpoint_store(place).remove(folder)
    except OSError as error:
        logger.warning("%s is left behind; `hamtune clean` removes it: %s", folder, error)


def folder_of(study_id: str, run_id: str, run: dict[str, Any], code: str) -> str:
    """Return the folder of a run's states; they fit this config and this code, and no other.

    Args:
        study_id: the study that it belongs to.
        run_id: whose states.
        run: its config, ready for JSON.
        code: digest of the code that trains it.
    """
    trained = json.dumps([code, run], sort_keys=True)
    return f"{study_id}/{run_id}-{hashlib.sha256(trained.encode()).hexdigest()[:12]}"
