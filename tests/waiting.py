"""Waits for a condition that other processes bring about."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_SECONDS = 240.0
"""Longest wait by default: long enough for a busy machine, below the time limit of a test."""


def wait_until(
    holds: Callable[[], object],
    seconds: float = PATIENCE_SECONDS,
    reason: Callable[[], object] = str,
) -> None:
    """Return as soon as a condition holds.

    Args:
        holds: is called about ten times a second.
        seconds: longest wait.
        reason: is called after the longest wait; its result is part of the error.

    Raises:
        AssertionError: the condition did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {reason()}"
        time.sleep(0.1)
