"""Files of states of trainings, by epoch and length: one that was cut off is not taken for one.

Nothing here knows torch, Ray or buckets: workers and trainables write them alike.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
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
    new = f"{folder}/{state.epoch}-{len(state.written)}.state"
    with open(new, "wb") as file:
        file.write(state.written)
    for _, _, path in before:
        if path != new:
            with suppress(FileNotFoundError):
                os.unlink(path)


def read_state(folder: str | Path) -> State | None:
    """Return the newest whole state in a folder; None where there is none.

    Its process or the copying of it may have ended halfway, so its name tells its length.
    """
    for epoch, length, path in sorted(_states_in(folder), reverse=True):
        try:
            written = Path(path).read_bytes()
        except FileNotFoundError:  # one taken for lost still trains, and keeps a newer one
            continue
        if len(written) == length:
            return State(epoch, written)
    return None


def _states_in(folder: str | Path) -> list[tuple[int, int, str]]:
    """Return epoch, length and path of each; pathlib would take twice as long."""
    named = [(_FILE.fullmatch(name), f"{folder}/{name}") for name in os.listdir(folder)]
    return [(int(name[1]), int(name[2]), path) for name, path in named if name]
