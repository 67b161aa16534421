"""The tables that can be exported: the columns of each, and how its rows are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from ham.client.records import (
    CombinationEntry,
    CombinationFilter,
    EpochMetrics,
    ExternalRun,
    LeaderboardEntry,
    ParetoFront,
    ParetoPoint,
    PublishedResult,
    Purpose,
    Recommendation,
    Run,
    Study,
    StudyEvent,
    Sweep,
)
from ham.config import Combination
from service.api.exports.columns import Columns
from service.api.exports.writers import Row
from service.domain.evidence.leaderboards import leaderboards
from service.domain.transfer.published import published_results
from service.storage import Storage

Pages = Iterator[list[Row]]
MakeRow = Callable[..., Row]

_ITEMS = 500
"""Items read at a time."""
_COMBINATION = ("model", "dataset", "sparsifier", "sparsity", "optimizer", "recipe")
_SETTING = ("alpha", "beta", "learning_rate", "weight_decay", "alpha_schedule", "beta_schedule")
_RESULT = (
    *("seed", "epochs", "validation_accuracy", "test_accuracy", "seconds"),
    *("measures", "environment"),
)


class Table(StrEnum):
    """The tables that can be exported."""

    COMBINATIONS = "combinations"
    SWEEPS = "sweeps"
    STUDIES = "studies"
    EVENTS = "events"
    RUNS = "runs"
    CURVES = "curves"
    EXTERNAL_RUNS = "external-runs"
    RECOMMENDATIONS = "recommendations"
    PARETO_FRONTS = "fronts"
    LEADERBOARDS = "leaderboards"
    PUBLISHED = "published"


@dataclass(frozen=True)
class Selection:
    """Which rows are exported.

    Attributes:
        which: only rows of these combinations.
        purpose: of runs, only those of this stage; None stands for all.
    """

    which: CombinationFilter
    purpose: Purpose | None = None


def _combinations(storage: Storage, selection: Selection, row: MakeRow) -> Pages:
    return _pages(
        lambda last: storage.combinations.list(selection.which, limit=_ITEMS, after=last or 0), row
    )


def _sweeps(storage: Storage, _: Selection, row: MakeRow) -> Pages:
    return _pages(lambda last: storage.sweeps.list(limit=_ITEMS, before=last), row)


def _studies(storage: Storage, selection: Selection, row: MakeRow) -> Pages:
    return _pages(
        lambda last: storage.studies.list(which=selection.which, limit=_ITEMS, before=last),
        lambda study: row(study, study.plan.combination),
    )


def _events(storage: Storage, _: Selection, row: MakeRow) -> Pages:
    return _pages(lambda last: storage.events.after(last or 0, limit=_ITEMS), row)


def _runs(storage: Storage, selection: Selection, row: MakeRow) -> Pages:
    for page in storage.exports.runs(selection.which, selection.purpose):
        yield [row(run, combination) for run, combination in page]


def _curves(storage: Storage, selection: Selection, row: MakeRow) -> Pages:
    for page in storage.exports.curves(selection.which):
        yield [row(metrics, run_id=run_id) for run_id, metrics in page]


def _external_runs(storage: Storage, selection: Selection, row: MakeRow) -> Pages:
    return _pages(
        lambda last: storage.external_runs.list(selection.which, limit=_ITEMS, before=last), row
    )


def _recommendations(storage: Storage, selection: Selection, row: MakeRow) -> Pages:
    yield [
        row(recommendation) for recommendation in storage.recommendations.latest(selection.which)
    ]


def _pareto_fronts(storage: Storage, selection: Selection, row: MakeRow) -> Pages:
    last = None
    while found := storage.pareto_fronts.list(selection.which, limit=_ITEMS, before=last):
        yield [row(front, point) for front in found for point in front.points]
        last = found[-1].study_id


def _leaderboards(storage: Storage, selection: Selection, row: MakeRow) -> Pages:
    yield [
        row(entry, benchmark=board.benchmark.name)
        for board in leaderboards(storage.recommendations)
        if _has_names(selection, board.benchmark.model, board.benchmark.dataset)
        for entry in board.rows
    ]


def _published(_: Storage, selection: Selection, row: MakeRow) -> Pages:
    yield [
        row(result)
        for result in published_results()
        if _has_names(selection, result.model, result.dataset)
    ]


def _pages(read: Callable[[Any], Sequence[Any]], row: MakeRow) -> Pages:
    """Yield the rows of a list page by page.

    Args:
        read: returns the items that follow the item of an id; the first ones for None.
        row: makes a row of an item.
    """
    last = None
    while found := read(last):
        yield [row(item) for item in found]
        last = found[-1].id


def _has_names(selection: Selection, model: str, dataset: str) -> bool:
    which = selection.which
    return which.model in (None, model) and which.dataset in (None, dataset)


class Export(NamedTuple):
    """How a table is exported.

    Attributes:
        columns: its columns. None is ever renamed or moved; new ones come last.
        read: reads the selected rows, a page at a time.
    """

    columns: Columns
    read: Callable[[Storage, Selection, MakeRow], Pages]


EXPORTS: dict[Table, Export] = {
    Table.COMBINATIONS: Export(Columns(CombinationEntry), _combinations),
    Table.SWEEPS: Export(Columns(Sweep), _sweeps),
    Table.STUDIES: Export(
        Columns(
            Study,
            Combination,
            first=(
                *("id", "state", "submitter", "priority", "sweep_id", *_COMBINATION),
                *("created_at", "started_at", "ended_at", "attempts", "error", "cost"),
                *("request", "plan"),
            ),
        ),
        _studies,
    ),
    Table.EVENTS: Export(Columns(StudyEvent), _events),
    Table.RUNS: Export(
        Columns(
            Run,
            Combination,
            first=(
                *("id", "study_id", "purpose", "trial_number", "state"),
                *(*_COMBINATION, *_SETTING, *_RESULT, "epochs_done", "gpu_seconds"),
                *("error", "attempt", "started_at", "ended_at"),
            ),
            left_out={"combination": "a key; its parts have columns"},
        ),
        _runs,
    ),
    Table.CURVES: Export(Columns(EpochMetrics, extra={"run_id": str}), _curves),
    Table.EXTERNAL_RUNS: Export(
        Columns(
            ExternalRun,
            first=("id", "purpose", "source", "submitter", "created_at", *_COMBINATION, *_SETTING),
        ),
        _external_runs,
    ),
    Table.RECOMMENDATIONS: Export(
        Columns(
            Recommendation,
            first=(
                *("id", "study_id", "version", "created_at", "grade", *_COMBINATION, *_SETTING),
                *("accuracy", "gain", "message", "cost", "evidence"),
            ),
            renamed={
                "learning_rate": "absolute_learning_rate",
                "weight_decay": "absolute_weight_decay",
            },
            left_out={"surface": "large; it has an address of its own"},
        ),
        _recommendations,
    ),
    Table.PARETO_FRONTS: Export(
        Columns(
            ParetoFront,
            ParetoPoint,
            first=(
                *("study_id", "created_at", "objectives", "provisional"),
                *(*_COMBINATION, *_SETTING, "realised_sparsity"),
                *("training_flops", "inference_flops", "validation_accuracy", "test_accuracy"),
                *("gain", "gain_shown", "seeds", "failed_runs"),
            ),
            left_out={"points": "each point is a row"},
        ),
        _pareto_fronts,
    ),
    Table.LEADERBOARDS: Export(
        Columns(
            LeaderboardEntry,
            extra={"benchmark": str},
            first=(
                *("benchmark", "rank", "sparsifier", "optimizer", "role", *_SETTING),
                *("test_accuracy", "sparsity", "combination", "study_id", "environments"),
            ),
        ),
        _leaderboards,
    ),
    Table.PUBLISHED: Export(Columns(PublishedResult), _published),
}
