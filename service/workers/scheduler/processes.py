"""How the processes of the workers live and die together."""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel

from service.records import StudyLease

PAUSE_AFTER_FAILURE = timedelta(seconds=10)
_POLL_SECONDS = 0.5

DONE = "done"
"""A runner's reply to an order."""


NO_CLUSTER = 69
"""Exit status of a runner that found no Ray (EX_UNAVAILABLE): no fault of its study."""


class StudyAssignment(BaseModel):
    """What a scheduler tells a runner, as a line of JSON: the study to run, and where to log."""

    claim: StudyLease
    log: Path


def die_with_parent() -> None:
    """Send this process SIGTERM as soon as its parent is gone, however that ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="die-with-parent", daemon=True).start()
