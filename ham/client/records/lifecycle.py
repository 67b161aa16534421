"""The life of a study: its states, and the only ways from one to another.

The database refuses every other way (``service/storage/studies/triggers.py``), and keeps each way
that was taken as an event: who, when, why.

::

    queued ──claim──▶ running ──▶ succeeded, failed
      ▲  ▲              │  ▲
      │  └──lease lost──┤  └resume┐
      │                 ├─pause─▶ pausing ──trainings ended──▶ paused ──resume──▶ queued
      │                 └─drain─▶ draining ──trainings ended──▶ cancelled
    cancel leads from every state that is not an end to cancelled, at once.
"""

from __future__ import annotations

from enum import StrEnum


class StudyState(StrEnum):
    """Where a study stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    DRAINING = "draining"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Command(StrEnum):
    """What people may ask of a study."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    DRAIN = "drain"


QUEUED, RUNNING, PAUSING, PAUSED, DRAINING, SUCCEEDED, FAILED, CANCELLED = StudyState

HELD = (RUNNING, PAUSING, DRAINING)
"""States in which a runner holds the study under its lease."""

ENDED = (SUCCEEDED, FAILED, CANCELLED)
"""States that nothing leads out of."""

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
"""Every way there is. From running to running: another runner took over a lease that ran out."""

COMMANDS: dict[Command, dict[StudyState, StudyState]] = {
    Command.CANCEL: dict.fromkeys((QUEUED, *HELD, PAUSED, CANCELLED), CANCELLED),
    Command.PAUSE: {QUEUED: PAUSED, PAUSED: PAUSED, RUNNING: PAUSING, PAUSING: PAUSING},
    Command.RESUME: {PAUSED: QUEUED, QUEUED: QUEUED, PAUSING: RUNNING, RUNNING: RUNNING},
    Command.DRAIN: {
        **dict.fromkeys(HELD, DRAINING),
        **dict.fromkeys((QUEUED, PAUSED, CANCELLED), CANCELLED),
    },
}
"""Where a command leads from each state; to where it already is, nothing happens."""

LET_GO: dict[StudyState, StudyState] = {RUNNING: QUEUED, PAUSING: PAUSED, DRAINING: CANCELLED}
"""Where a study goes when its runner lets go of it before its end."""
