"""Files of states of trainings, by epoch and length: one that was cut off is not taken for one.

Nothing here knows torch, Ray or buckets: workers and trainables write them alike.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

_FILE = re.compile(r"([0-9]+)-([0-9]+)\.state")


class State(NamedTuple):
    """What a training goes on from.

    Attributes:
        epoch: the last that it contains.
        written: the state itself.
    """

    epoch: int
    written: bytes


def write_state(folder: str | Path, state: State) -> None:
    """Put a state into a folder that exists, and then remove those that were there."""
    before = _states_in(folder)
    new = Path(folder) / f"{state.epoch}-{len(state.written)}.state"
    new.write_bytes(state.written)
    for _, _, path in before:
        if path != new:
            path.unlink(missing_ok=True)


def read_state(folder: str | Path) -> State | None:
    """Return the newest whole state in a folder; None where there is none.

    Its process or the copying of it may have ended halfway, so its name tells its length.
    """
    for epoch, length, path in sorted(_states_in(folder), reverse=True):
        try:
            written = path.read_bytes()
        except (
            FileNotFoundError
        ):  # a worker taken for lost goes on for a while, and keeps newer ones
            continue
        if len(written) == length:
            return State(epoch, written)
    return None


def _states_in(folder: str | Path) -> list[tuple[int, int, Path]]:
    """Return epoch, length and path of each."""
    named = [(_FILE.fullmatch(name), Path(folder, name)) for name in os.listdir(folder)]
    return [(int(name[1]), int(name[2]), path) for name, path in named if name]
