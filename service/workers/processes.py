"""How the processes of the workers live and die together."""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import timedelta

PAUSE_AFTER_FAILURE = timedelta(seconds=10)
_POLL_SECONDS = 0.5


def die_with_parent() -> None:
    """Send this process SIGTERM as soon as its parent is gone, however that ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="die-with-parent", daemon=True).start()
