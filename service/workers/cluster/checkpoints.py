"""The checkpoint store: checkpoints of all running trainings, in a folder or a bucket.

A crash costs a training at most the epoch that it was in. Each run has one folder in the store,
``STUDY/RUN-DIGEST``. Ray Tune copies checkpoints to numbered folders in it, for example
``checkpoint_000003/4-81920.state``. A worker writes its checkpoint directly into it, for example
``4-81920.state``. Any runner, on any machine that reaches the store, finds the folder again.
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
    """The folder or bucket that holds the checkpoints of all studies.

    Attributes:
        files: the file system of the store.
        folder: path of the store in ``files``.
    """

    files: FileSystem
    folder: str

    def checkpoint_numbers(self, folder: str) -> list[int]:
        """Return the numbers of Tune's checkpoints in a folder of the store, highest first."""
        named = (_NUMBERED.fullmatch(entry.base_name) for entry in self._entries(folder))
        return sorted((int(found[1]) for found in named if found), reverse=True)

    def remove_older(self, folder: str, number: int) -> None:
        """Remove Tune's checkpoints with a number below ``number`` from a folder."""
        for other in self.checkpoint_numbers(folder):
            if other < number:
                self.remove(f"{folder}/checkpoint_{other:06d}")

    def studies(self) -> Iterator[tuple[str, datetime | None]]:
        """Yield each study that has a folder in the store, and the time of its last change.

        The time is None if the file system knows no times.
        """
        for entry in self._entries(""):
            if entry.type == FileType.Directory and _STUDY.fullmatch(entry.base_name):
                within = self._entries(entry.base_name, recursive=True)
                times = [each.mtime for each in (entry, *within) if each.mtime is not None]
                yield entry.base_name, max(times, default=None)

    def remove(self, folder: str) -> None:
        """Remove a folder of the store with its contents, if it exists."""
        path = f"{self.folder}/{folder}"
        if self.files.get_file_info(path).type != FileType.NotFound:
            self.files.delete_dir(path)

    def _entries(self, folder: str, recursive: bool = False) -> list[Any]:
        path = f"{self.folder}/{folder}".rstrip("/")
        selector = FileSelector(path, allow_not_found=True, recursive=recursive)
        entries: list[Any] = self.files.get_file_info(selector)
        return entries


@cache
def open_checkpoint_store(location: str) -> CheckpointStore:
    """Open the checkpoint store at a location.

    Args:
        location: an absolute path, or an address such as ``s3://bucket/folder``.

    Raises:
        ValueError: the kind of the address is unknown.
        OSError: the location cannot be reached.
    """
    files, folder = FileSystem.from_uri(location)
    return CheckpointStore(files, folder.rstrip("/"))


def path_of(location: str, folder: str) -> Path | None:
    """Return the path of a folder of the store; None if the store is a bucket."""
    if "://" in location and not location.startswith("file://"):
        return None
    return Path(open_checkpoint_store(location).folder, folder)


def check_checkpoint_store(location: str) -> None:
    """Write a file into the checkpoint store and remove it again.

    Raises:
        ValueError: the store cannot be written to, with the reason.
    """
    try:
        files, folder = open_checkpoint_store(location)
        probe = f"{folder}/.probe-{secrets.token_hex(4)}"
        files.create_dir(folder)
        with files.open_output_stream(probe) as stream:
            stream.write(b"hamtune")
        files.delete_file(probe)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"HAMTUNE_CHECKPOINTS: checkpoints of trainings cannot be kept at {masked(location)}: "
            f"{masked(str(error))}; name a folder or a bucket that this machine may write to"
        ) from error


def remove_or_warn(location: str, folder: str) -> None:
    """Remove a folder of the store; log a warning if that fails."""
    try:
        open_checkpoint_store(location).remove(folder)
    except OSError as error:
        logger.warning("%s was not removed; `hamtune clean` removes it: %s", folder, error)


def folder_of(study_id: str, run_id: str, run: dict[str, Any], code: str) -> str:
    """Return the folder of a run's checkpoints in the store.

    A changed config or changed code leads to another folder, since its checkpoints would not fit.

    Args:
        study_id: id of the run's study.
        run_id: id of the run.
        run: the run's config, ready for JSON.
        code: digest of the code that trains it.
    """
    trained = json.dumps([code, run], sort_keys=True)
    return f"{study_id}/{run_id}-{hashlib.sha256(trained.encode()).hexdigest()[:12]}"
