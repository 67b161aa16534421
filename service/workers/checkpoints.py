"""States of trainings under way, in files beside their runners: no crash costs a long run."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from service.workers.pool import code_digest


def checkpoint_path(
    folder: Path, *, study_id: str, run_id: str, run: dict[str, Any], **_: Any
) -> Path:
    """Return where the state of a run is kept; it fits this config and this code, and no other."""
    trained = json.dumps([run, code_digest()], sort_keys=True)
    digest = hashlib.sha256(trained.encode()).hexdigest()[:12]
    return folder / study_id / f"{run_id}-{digest}"


class Checkpoint:
    """The file of one training's state.

    Args:
        path: see :func:`checkpoint_path`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes | None:
        """Return the state written last, or None."""
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None

    def write(self, state: bytes) -> None:
        """Put a state in the place of the last one, wholly or not at all."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_name(self._path.name + ".unfinished")
        unfinished.write_bytes(state)
        os.replace(unfinished, self._path)

    def remove(self) -> None:
        """Forget it: the run has ended, and its result is stored."""
        self._path.unlink(missing_ok=True)
