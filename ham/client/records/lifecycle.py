"""The states of a study and the transitions between them.

The database refuses every other transition (``service/storage/studies/triggers.py``), and stores
each transition as an event: who, when, why.

::

    queued ──claim──▶ running ──▶ succeeded, failed
      ▲  ▲              │  ▲
      │  └──lease lost──┤  └resume┐
      │                 ├─pause─▶ pausing ──trainings ended──▶ paused ──resume──▶ queued
      │                 └─drain─▶ draining ──trainings ended──▶ cancelled
    cancel leads at once to cancelled, from every state that is not an end.
"""

from __future__ import annotations

from enum import StrEnum


class StudyState(StrEnum):
    """State of a study."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    DRAINING = "draining"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Command(StrEnum):
    """Command that people may give to a study."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    DRAIN = "drain"


QUEUED, RUNNING, PAUSING, PAUSED, DRAINING, SUCCEEDED, FAILED, CANCELLED = StudyState

HELD = (RUNNING, PAUSING, DRAINING)
"""States in which a runner holds a lease of the study."""

ENDED = (SUCCEEDED, FAILED, CANCELLED)
"""States without a transition to another."""

TRANSITIONS: dict[StudyState, tuple[StudyState, ...]] = {
    QUEUED: (RUNNING, PAUSED, FAILED, CANCELLED),
    RUNNING: (RUNNING, QUEUED, PAUSING, DRAINING, *ENDED),
    PAUSING: (RUNNING, PAUSED, DRAINING, *ENDED),
    PAUSED: (QUEUED, CANCELLED),
    DRAINING: ENDED,
    SUCCEEDED: (),
    FAILED: (),
    CANCELLED: (),
}
"""All transitions. Running to running: another runner took the study over, its lease ran out."""

COMMANDS: dict[Command, dict[StudyState, StudyState]] = {
    Command.CANCEL: dict.fromkeys((QUEUED, *HELD, PAUSED, CANCELLED), CANCELLED),
    Command.PAUSE: {QUEUED: PAUSED, PAUSED: PAUSED, RUNNING: PAUSING, PAUSING: PAUSING},
    Command.RESUME: {PAUSED: QUEUED, QUEUED: QUEUED, PAUSING: RUNNING, RUNNING: RUNNING},
    Command.DRAIN: {
        **dict.fromkeys(HELD, DRAINING),
        **dict.fromkeys((QUEUED, PAUSED, CANCELLED), CANCELLED),
    },
}
"""State after a command, by the state before. If both are equal, nothing happens."""

AFTER_RELEASE: dict[StudyState, StudyState] = {
    RUNNING: QUEUED,
    PAUSING: PAUSED,
    DRAINING: CANCELLED,
}
"""State of a study after its runner released it before its end, by the state before."""
