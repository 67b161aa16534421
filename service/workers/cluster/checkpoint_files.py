"""Reads and writes the file that holds the newest checkpoint of one training.

The file name states the epoch and the length in bytes, for example ``4-81920.state``, so that a
truncated file is recognised. This module imports neither torch nor Ray, since workers and
trainables both use it.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_FILE = re.compile(r"([0-9]+)-([0-9]+)\.state")


class TrainingCheckpoint(NamedTuple):
    """A checkpoint of one training.

    Attributes:
        epoch: the last epoch that is trained in it.
        content: the packed checkpoint, as :mod:`ham.training.checkpoints` makes it.
    """

    epoch: int
    content: bytes


def write_checkpoint(folder: str | Path, checkpoint: TrainingCheckpoint) -> None:
    """Write a checkpoint into an existing folder, and then remove the other checkpoints there."""
    earlier = _files_in(folder)
    new = f"{folder}/{checkpoint.epoch}-{len(checkpoint.content)}.state"
    with open(new, "wb") as file:
        file.write(checkpoint.content)
    for _, _, path in earlier:
        if path != new:
            with suppress(FileNotFoundError):
                os.unlink(path)


def read_checkpoint(folder: str | Path) -> TrainingCheckpoint | None:
    """Return the checkpoint of the highest epoch in a folder; None if it has no complete one.

    A file is complete if its length is the one that its name states. It is shorter if its
    process ended while it was written or copied.
    """
    for epoch, length, path in sorted(_files_in(folder), reverse=True):
        try:
            content = Path(path).read_bytes()
        except FileNotFoundError:  # a worker that was taken for lost still trains and replaced it
            continue
        if len(content) == length:
            return TrainingCheckpoint(epoch, content)
    return None


def _files_in(folder: str | Path) -> list[tuple[int, int, str]]:
    """Return epoch, length and path of each file; ``pathlib`` would take twice as long."""
    named = [(_FILE.fullmatch(name), f"{folder}/{name}") for name in os.listdir(folder)]
    return [(int(name[1]), int(name[2]), path) for name, path in named if name]
