"""Progress of studies, from counts of their runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from ham.client.records import HELD, Progress, Purpose, RunState, StageProgress, Study, StudyState
from service.domain.planning.stage_sizes import sizes_of
from service.domain.ports import RunCountReads
from service.records import RunCount, StudyRunCounts

NOTHING_RUN = StudyRunCounts((), None)


def progress_of(
    store: RunCountReads, studies: Sequence[Study], now: datetime
) -> dict[str, Progress]:
    """Return the progress of each study by id."""
    run_counts = store.of(studies)
    return {study.id: _progress(study, run_counts[study.id], now) for study in studies}


def no_progress(study: Study, now: datetime) -> Progress:
    """Return the progress of a study that has no runs yet, without a query."""
    return _progress(study, NOTHING_RUN, now)


def _progress(study: Study, run_counts: StudyRunCounts, now: datetime) -> Progress:
    counts, best = run_counts
    ended, failed, running = Counter[Purpose](), 0, 0
    for count in counts:
        if count.state == RunState.RUNNING:
            running += count.runs
        else:
            ended[count.purpose] += count.runs
        if count.state == RunState.FAILED:
            failed += count.runs

    def stage(purpose: Purpose, planned: int) -> StageProgress:
        done = ended[purpose]
        over = study.state == StudyState.SUCCEEDED  # it may have needed fewer runs than planned
        return StageProgress(done=done, planned=done if over else planned)

    sizes = sizes_of(study.plan)
    if study.plan.is_multi_objective:
        best = None  # runs of unequal sparsity have no best
    return Progress(
        search=stage(Purpose.SEARCH, sizes.search),
        screening=stage(Purpose.SCREENING, sizes.screening),
        confirmation=stage(Purpose.CONFIRMATION, sizes.confirmation),
        running=running if study.state in HELD else 0,
        failed=failed,
        best_validation_accuracy=best and best.validation_accuracy,
        best_setting=best and best.setting,
        elapsed_seconds=_elapsed(study, now),
        remaining_seconds=_remaining(study, counts, ended.total(), now),
    )


def _remaining(study: Study, counts: Sequence[RunCount], done: int, now: datetime) -> float | None:
    """Extrapolate, in seconds, from the rate since the first training began."""
    if study.state != StudyState.RUNNING or done == 0:
        return None
    since_first = now - min(count.first_started_at for count in counts)
    return since_first.total_seconds() / done * (study.plan.expected_runs - done)


def _elapsed(study: Study, now: datetime) -> float | None:
    if study.started_at is None:
        return None
    return ((study.ended_at or now) - study.started_at).total_seconds()
