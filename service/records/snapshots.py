"""Numbers about the whole service at one moment, for metrics."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from ham.client.records.lifecycle import StudyState
from ham.client.records.runs import Purpose, RunState


class Snapshot(NamedTuple):
    """Numbers of studies, runs and schedulers at one moment.

    Attributes:
        studies: number of studies by state.
        claimable: number of studies that a scheduler could claim.
        longest_wait: time since the oldest claimable study was submitted.
        running_runs: number of running runs by purpose.
        ended_runs: number of runs that ended within the last five minutes, by purpose and state.
        schedulers: number of schedulers that hold a study.
    """

    studies: dict[StudyState, int]
    claimable: int
    longest_wait: timedelta
    running_runs: dict[Purpose, int]
    ended_runs: dict[tuple[Purpose, RunState], int]
    schedulers: int
