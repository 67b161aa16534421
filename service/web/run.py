"""The page of a run: its measures, its learning curve and its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from ham.client.records import EpochMetrics, Run
from service.api.dependencies import RunId, StorageDep
from service.storage import Storage
from service.web.measures import Measured, measured
from service.web.templating import page_response

router = APIRouter()

_CURVES = {
    "Validation accuracy": "validation_accuracy",
    "Sign flips": "sign_flips",
    "Mask churn": "mask_churn",
}


@router.get("/runs/{run_id}")
def show_run(request: Request, run_id: RunId, storage: StorageDep) -> Response:
    """Show all that is known of a run. Raises NotFound."""
    return page_response(request, "run.html", page=run_page(storage, run_id))


@dataclass(frozen=True)
class Line:
    """A quantity over the epochs.

    Attributes:
        points: of a polyline in a box of 100 by 30, from the lowest value to the highest.
    """

    title: str
    values: list[float]
    points: str


def line(title: str, values: Sequence[float]) -> Line:
    """Return a line through values, one per epoch."""
    low, high = min(values), max(values)
    height, width = (high - low) or 1.0, max(len(values) - 1, 1)
    places = (
        f"{100 * epoch / width:.2f},{29 - 28 * (value - low) / height:.2f}"
        for epoch, value in enumerate(values)
    )
    return Line(title, list(values), " ".join(places))


@dataclass(frozen=True)
class RunPage:
    """Everything on the page of a run."""

    run: Run
    measured: Measured
    curve: list[EpochMetrics]
    lines: list[Line]


def run_page(storage: Storage, run_id: str) -> RunPage:
    """Read a run's page. Raises NotFound."""
    run, curve = storage.runs.get(run_id), storage.runs.curve(run_id)
    lines = [
        line(title, [getattr(point, field) for point in curve])
        for title, field in _CURVES.items()
        if curve
    ]
    return RunPage(run, measured(run), curve, lines)
