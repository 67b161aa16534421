"""Shared by the scheduler process and its runners: assignments, exit status, common end."""

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
"""A runner's answer once it has ended a study well."""


NO_CLUSTER = 69
"""Exit status of a runner that cannot reach Ray (EX_UNAVAILABLE); its study is not at fault."""


class StudyAssignment(BaseModel):
    """One line of JSON from the scheduler process to a runner: the study to run.

    Attributes:
        lease: the study lease, which names the study.
        log: file for the runner's output during the study.
    """

    lease: StudyLease
    log: Path


def die_with_parent() -> None:
    """Send this process SIGTERM within half a second after its parent has ended in any way."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="die-with-parent", daemon=True).start()
