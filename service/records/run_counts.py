"""Counts of the runs of studies, and their best runs."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from ham.client.records.runs import Purpose, RunState
from ham.config import HamConfig


class RunCount(NamedTuple):
    """The number of runs of one study, purpose and state, and when the first of them began."""

    study_id: str
    purpose: Purpose
    state: RunState
    runs: int
    first_started_at: datetime


class BestRun(NamedTuple):
    """The succeeded search run of a study with the highest validation accuracy, a fraction."""

    study_id: str
    run_id: str
    setting: HamConfig
    validation_accuracy: float


class StudyRunCounts(NamedTuple):
    """The runs of one study, counted by purpose and state. Counts of zero are left out."""

    counts: tuple[RunCount, ...]
    best: BestRun | None
