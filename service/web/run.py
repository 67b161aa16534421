"""The page of a run: its measures, its learning curve and its layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from fastapi import APIRouter, Request, Response

from ham.client.records import EpochMetrics, Run
from service.api.dependencies import RunId, StorageDep
from service.formatting import count, duration, percent, strength
from service.storage import Storage
from service.web.measures import ShownMeasures, shown_measures
from service.web.templating import page_response

router = APIRouter()

_FORMATS: dict[str, Callable[[Any], str]] = {
    "epoch": count,
    "train_loss": strength,
    "learning_rate": strength,
    "seconds": duration,
}
"""How the metrics of an epoch are written, by field; all others are fractions."""


@router.get("/runs/{run_id}")
def show_run(request: Request, run_id: RunId, storage: StorageDep) -> Response:
    """Show a run with its measures, learning curve and layers. Raises NotFound."""
    return page_response(request, "run.html", page=run_page(storage, run_id))


@dataclass(frozen=True)
class CurveColumn:
    """One metric in the table of epochs."""

    field: str
    title: str
    write: Callable[[Any], str]


CURVE_COLUMNS = [
    CurveColumn(
        field=metric.name,
        title=metric.name.replace("_", " ").capitalize(),
        write=_FORMATS.get(metric.name, percent),
    )
    for metric in fields(EpochMetrics)
]
"""The columns of the table of epochs: every metric of an epoch."""


@dataclass(frozen=True)
class Line:
    """A metric over the epochs.

    Attributes:
        points: points of a polyline in a box 100 wide and 30 high, from the lowest value to the
            highest.
    """

    title: str
    values: list[float]
    points: str


def line(title: str, values: Sequence[float]) -> Line:
    """Return a line through values, one per epoch."""
    low, high = min(values), max(values)
    height, width = (high - low) or 1.0, max(len(values) - 1, 1)
    points = (
        f"{100 * epoch / width:.2f},{29 - 28 * (value - low) / height:.2f}"
        for epoch, value in enumerate(values)
    )
    return Line(title, list(values), " ".join(points))


@dataclass(frozen=True)
class RunPage:
    """Everything on the page of a run."""

    run: Run
    measures: ShownMeasures
    curve: list[EpochMetrics]
    columns: list[CurveColumn]
    lines: list[Line]


def run_page(storage: Storage, run_id: str) -> RunPage:
    """Read everything on the page of a run. Raises NotFound.

    Metrics that are fractions are drawn as lines as well.
    """
    run, curve = storage.runs.get(run_id), storage.runs.curve(run_id)
    lines = [
        line(column.title, [getattr(metrics, column.field) for metrics in curve])
        for column in CURVE_COLUMNS
        if column.write is percent and curve
    ]
    return RunPage(run, shown_measures(run), curve, CURVE_COLUMNS, lines)
