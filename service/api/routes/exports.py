"""Everything there is, to take along."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from enum import StrEnum
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from ham.client.records import (
    CombinationEntry,
    CombinationFilter,
    ExternalRun,
    ParetoFront,
    Purpose,
    Study,
    StudyEvent,
    Sweep,
)
from service.api.dependencies import StorageDep, check_names
from service.api.errors.problems import documented
from service.api.exports import MEDIA_TYPES, Column, Format, Row, written
from service.api.queries import CombinationQuery
from service.domain.evidence.leaderboards import leaderboards
from service.domain.transfer.published import published_results
from service.storage import Storage

router = APIRouter(prefix="/v1/exports", tags=["exports"])

_COMBINATION: list[Column] = [
    ("model", str),
    ("dataset", str),
    ("sparsifier", str),
    ("sparsity", float),
    ("optimizer", str),
    ("recipe", str),
]
_SETTING: list[Column] = [
    ("alpha", float),
    ("beta", float),
    ("learning_rate", float),
    ("weight_decay", float),
    ("alpha_schedule", str),
    ("beta_schedule", str),
]
_RESULT: list[Column] = [
    *_SETTING,
    ("seed", int),
    ("epochs", int),
    ("validation_accuracy", float),
    ("test_accuracy", float),
    ("seconds", float),
    ("measures", str),
    ("environment", str),
]
_RUN: list[Column] = [
    ("id", str),
    ("study_id", str),
    ("purpose", str),
    ("trial_number", int),
    ("state", str),
    *_COMBINATION,
    *_RESULT,
    ("epochs_done", int),
    ("gpu_seconds", float),
    ("error", str),
    ("attempt", int),
    ("started_at", str),
    ("ended_at", str),
]
_EXTERNAL: list[Column] = [
    ("id", str),
    ("purpose", str),
    ("source", str),
    ("submitter", str),
    ("created_at", str),
    *_COMBINATION,
    *_RESULT,
]
_RECOMMENDATION: list[Column] = [
    ("id", str),
    ("study_id", str),
    ("version", int),
    ("created_at", str),
    ("grade", str),
    *_COMBINATION,
    *_SETTING,
    ("accuracy", str),
    ("gain", str),
    ("message", str),
    ("cost", str),
    ("evidence", str),
]
_BOARD: list[Column] = [
    ("benchmark", str),
    ("rank", int),
    ("sparsifier", str),
    ("optimizer", str),
    ("role", str),
    *_SETTING,
    ("test_accuracy", str),
    ("sparsity", float),
    ("combination", str),
    ("study_id", str),
    ("environments", str),
]
_FRONT: list[Column] = [
    ("study_id", str),
    ("created_at", str),
    ("objectives", str),
    ("provisional", bool),
    *_COMBINATION,
    *_SETTING,
    ("realised_sparsity", float),
    ("training_flops", float),
    ("inference_flops", float),
    ("validation_accuracy", float),
    ("test_accuracy", str),
    ("gain", str),
    ("gain_shown", bool),
    ("seeds", str),
    ("failed_runs", int),
]
_PUBLISHED: list[Column] = [
    ("purpose", str),
    ("method", str),
    ("ham", bool),
    ("sam", bool),
    ("sign_in", bool),
    ("model", str),
    ("dataset", str),
    ("sparsity", float),
    ("test_accuracy", float),
    ("spread", float),
    ("epochs", int),
    ("recipe", str),
    ("source", str),
]


_STUDY: list[Column] = [
    ("id", str),
    ("state", str),
    ("submitter", str),
    ("priority", int),
    ("sweep_id", str),
    *_COMBINATION,
    ("created_at", str),
    ("started_at", str),
    ("ended_at", str),
    ("attempts", int),
    ("error", str),
    ("cost", str),
    ("request", str),
    ("plan", str),
]
_SWEEP: list[Column] = [
    ("id", str),
    ("submitter", str),
    ("created_at", str),
    ("request", str),
    ("left_out", str),
]
_ENTRY: list[Column] = [
    ("id", int),
    ("key", str),
    *_COMBINATION,
    ("studies", int),
    ("recommendations", int),
]
_EVENT: list[Column] = [
    ("id", int),
    ("study_id", str),
    ("at", str),
    ("kind", str),
    ("by", str),
    ("source", str),
    ("state", str),
    ("reason", str),
    ("details", str),
]
_POINT: list[Column] = [
    ("run_id", str),
    ("epoch", int),
    ("train_loss", float),
    ("validation_accuracy", float),
    ("learning_rate", float),
    ("seconds", float),
    ("sign_flips", float),
    ("mask_churn", float),
]


class Table(StrEnum):
    """What can be exported."""

    COMBINATIONS = "combinations"
    SWEEPS = "sweeps"
    STUDIES = "studies"
    EVENTS = "events"
    RUNS = "runs"
    CURVES = "curves"
    EXTERNAL_RUNS = "external-runs"
    RECOMMENDATIONS = "recommendations"
    FRONTS = "fronts"
    LEADERBOARDS = "leaderboards"
    PUBLISHED = "published"


class ExportQuery(CombinationQuery):
    """What to export, and how it is written."""

    format: Format = Field(Format.JSONL, description="How it is written.")
    purpose: Purpose | None = Field(None, description="Of runs: only this stage.")


@router.get(
    "/{table}",
    summary="Export a table",
    response_class=StreamingResponse,
    response_description="The table, streamed.",
    responses={
        200: {"content": {type: {"schema": {"type": "string"}} for type in MEDIA_TYPES.values()}},
        **documented(422),
    },
)
def export(
    table: Table,
    storage: StorageDep,
    query: Annotated[ExportQuery, Query()],
) -> StreamingResponse:
    """Return all rows that match, however many: nothing is cut off, nothing is kept in memory.

    `runs` are this service's own trainings and `curves` their epochs; `external-runs` were made
    elsewhere and `published` were reported by others, and both name their source. `fronts` has a
    row per point of each Pareto front. `leaderboards` and `published` take no filter but model and
    dataset, `fronts` all but the sparsity, `events` and `sweeps` none.
    """
    which, format = check_names(query.combinations()), query.format
    if table == Table.RUNS:
        pages, columns = _runs(storage, which, query.purpose), _RUN
    else:
        pages, columns = _OTHERS[table](storage, which)
    name = f"hamtune-{table.value}.{format.value}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    content = written(pages, columns, format)
    first = next(content, b"")  # before the status goes out: the database may be away
    content = chain((first,), content)
    return StreamingResponse(content, media_type=MEDIA_TYPES[format], headers=headers)


Pages = Iterator[list[Row]]
_PAGE = 500


def _walk(after: Callable[[Any], Sequence[Any]], row: Callable[[Any], Row]) -> Pages:
    """Yield the rows of a list page by page; what comes after an id is asked of it."""
    last = None
    while found := after(last):
        yield [row(item) for item in found]
        last = found[-1].id


def _runs(storage: Storage, which: CombinationFilter, purpose: Purpose | None) -> Pages:
    for page in storage.exports.runs(which, purpose):
        yield [_row(_RUN, {**run.model_dump(mode="json"), **asdict(of)}) for run, of in page]


def _studies(storage: Storage, which: CombinationFilter) -> tuple[Pages, list[Column]]:
    def row(study: Study) -> Row:
        return _row(_STUDY, {**study.model_dump(mode="json"), **asdict(study.plan.combination)})

    def after(last: str | None) -> Sequence[Study]:
        return storage.studies.list(which=which, limit=_PAGE, before=last)

    return _walk(after, row), _STUDY


def _combinations(storage: Storage, which: CombinationFilter) -> tuple[Pages, list[Column]]:
    def row(entry: CombinationEntry) -> Row:
        return _row(_ENTRY, _with_combination(entry.model_dump(mode="json")))

    def after(last: int | None) -> Sequence[CombinationEntry]:
        return storage.combinations.list(which, limit=_PAGE, after=last or 0)

    return _walk(after, row), _ENTRY


def _sweeps(storage: Storage, _which: CombinationFilter) -> tuple[Pages, list[Column]]:
    def row(sweep: Sweep) -> Row:
        return _row(_SWEEP, sweep.model_dump(mode="json"))

    def after(last: str | None) -> Sequence[Sweep]:
        return storage.sweeps.list(limit=_PAGE, before=last)

    return _walk(after, row), _SWEEP


def _events(storage: Storage, _which: CombinationFilter) -> tuple[Pages, list[Column]]:
    def row(event: StudyEvent) -> Row:
        return _row(_EVENT, event.model_dump(mode="json"))

    def after(last: int | None) -> Sequence[StudyEvent]:
        return storage.events.after(last or 0, limit=_PAGE)

    return _walk(after, row), _EVENT


def _curves(storage: Storage, which: CombinationFilter) -> tuple[Pages, list[Column]]:
    pages = (
        [{"run_id": run_id, **vars(point)} for run_id, point in page]
        for page in storage.exports.curves(which)
    )
    return pages, _POINT


def _external(storage: Storage, which: CombinationFilter) -> tuple[Pages, list[Column]]:
    def row(run: ExternalRun) -> Row:
        return _row(_EXTERNAL, _with_combination(run.model_dump(mode="json")))

    def after(last: str | None) -> Sequence[ExternalRun]:
        return storage.external_runs.list(which, limit=_PAGE, before=last)

    return _walk(after, row), _EXTERNAL


def _recommendations(storage: Storage, which: CombinationFilter) -> tuple[Pages, list[Column]]:
    found = storage.recommendations.latest(which)
    rows = [_with_combination(row.model_dump(mode="json")) for row in found]
    return iter([[_row(_RECOMMENDATION, row) for row in rows]]), _RECOMMENDATION


def _fronts(storage: Storage, which: CombinationFilter) -> tuple[Pages, list[Column]]:
    def rows(front: ParetoFront) -> list[Row]:
        facts = front.model_dump(mode="json")
        return [_row(_FRONT, _with_combination(facts | point)) for point in facts["points"]]

    def pages() -> Pages:
        last = None
        while found := storage.fronts.list(which, limit=_PAGE, before=last):
            yield [row for front in found for row in rows(front)]
            last = found[-1].study_id

    return pages(), _FRONT


def _boards(storage: Storage, which: CombinationFilter) -> tuple[Pages, list[Column]]:
    rows = [
        _row(_BOARD, {**row.model_dump(mode="json"), "benchmark": board.benchmark.name})
        for board in leaderboards(storage.recommendations)
        if which.model in (None, board.benchmark.model)
        and which.dataset in (None, board.benchmark.dataset)
        for row in board.rows
    ]
    return iter([rows]), _BOARD


def _published(_storage: Storage, which: CombinationFilter) -> tuple[Pages, list[Column]]:
    rows = [
        _row(_PUBLISHED, row.model_dump(mode="json"))
        for row in published_results()
        if which.model in (None, row.model) and which.dataset in (None, row.dataset)
    ]
    return iter([rows]), _PUBLISHED


_OTHERS: dict[Table, Callable[[Storage, CombinationFilter], tuple[Pages, list[Column]]]] = {
    Table.COMBINATIONS: _combinations,
    Table.SWEEPS: _sweeps,
    Table.STUDIES: _studies,
    Table.EVENTS: _events,
    Table.CURVES: _curves,
    Table.EXTERNAL_RUNS: _external,
    Table.RECOMMENDATIONS: _recommendations,
    Table.FRONTS: _fronts,
    Table.LEADERBOARDS: _boards,
    Table.PUBLISHED: _published,
}


def _with_combination(row: Row) -> Row:
    return {**row, **row["combination"]}


def _row(columns: list[Column], facts: dict[str, Any]) -> Row:
    """Pick the columns; learning rate and weight decay of a setting are multiples."""
    facts = {**facts, **facts.get("setting", {})}
    return {name: facts[name] for name, _ in columns}
