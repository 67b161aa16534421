"""How far studies are, from counts of their runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from service.domain.plans import sizes_of
from service.records import (
    HELD,
    Progress,
    Purpose,
    RunState,
    StageProgress,
    Study,
    StudyState,
)
from service.storage.base import BestRun, RunCount, RunStore


def progress_of(store: RunStore, studies: Sequence[Study], now: datetime) -> dict[str, Progress]:
    """Return the progress of each study by id, with two queries for all of them."""
    ids = [study.id for study in studies]
    best = {row.study_id: row for row in store.best_search_runs(ids)}
    counts: dict[str, list[RunCount]] = {id: [] for id in ids}
    for count in store.counts(ids):
        counts[count.study_id].append(count)
    return {
        study.id: _progress(study, counts[study.id], best.get(study.id), now) for study in studies
    }


def no_progress(study: Study, now: datetime) -> Progress:
    """Return the progress of a study that has no runs yet, without asking for them."""
    return _progress(study, (), None, now)


def _progress(
    study: Study, counts: Sequence[RunCount], best: BestRun | None, now: datetime
) -> Progress:
    def total(state: RunState | None = None, purpose: Purpose | None = None) -> int:
        return sum(
            row.runs
            for row in counts
            if state in (None, row.state) and purpose in (None, row.purpose)
        )

    def stage(purpose: Purpose, planned: int) -> StageProgress:
        done = total(purpose=purpose) - total(RunState.RUNNING, purpose)
        over = study.state == StudyState.SUCCEEDED  # it may have needed fewer than planned
        return StageProgress(done=done, planned=done if over else planned)

    sizes = sizes_of(study.plan)
    if study.plan.seeks_front:
        best = None  # of unequal sparsities none is best
    done = total() - total(RunState.RUNNING)
    return Progress(
        search=stage(Purpose.SEARCH, sizes.search),
        screening=stage(Purpose.SCREENING, sizes.screening),
        confirmation=stage(Purpose.CONFIRMATION, sizes.confirmation),
        running=total(RunState.RUNNING) if study.state in HELD else 0,
        failed=total(RunState.FAILED),
        best_validation_accuracy=best and best.validation_accuracy,
        best_setting=best and best.setting,
        elapsed_seconds=_elapsed(study, now),
        remaining_seconds=_remaining(study, counts, done, now),
    )


def _remaining(study: Study, counts: Sequence[RunCount], done: int, now: datetime) -> float | None:
    """Extrapolate from the rate since the first training began, the start-up left out."""
    if study.state != StudyState.RUNNING or done == 0:
        return None
    since_first = now - min(row.first_started_at for row in counts)
    return since_first.total_seconds() / done * (study.plan.expected_runs - done)


def _elapsed(study: Study, now: datetime) -> float | None:
    if study.started_at is None:
        return None
    return ((study.ended_at or now) - study.started_at).total_seconds()
