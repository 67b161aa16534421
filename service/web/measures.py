"""What a run did beside its accuracy, for people: sparsity, operations, movement of the masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ham.client.records import EarlyStoppingReport, EpochMetrics, ParetoFront, Purpose, Run, Study
from service.domain.search import early_stopping
from service.storage import Storage

_CURVES = {
    "Validation accuracy": "validation_accuracy",
    "Sign flips": "sign_flips",
    "Mask churn": "mask_churn",
}
_ORDER = (Purpose.CONFIRMATION, Purpose.SCREENING, Purpose.SEARCH)


@dataclass(frozen=True)
class Measured:
    """A run's measures; None where the run ended without them.

    Attributes:
        target, realised: fraction of zero weights.
        emerged: the fraction that a method had reached by itself when its masks were fixed to the
            target; None for methods whose sparsity does not emerge.
        nonzeros, prunable: numbers of weights.
        inference_flops: operations of one forward pass; ``inference_share`` of the dense model's.
        training_flops: of the whole training; ``training_share`` of the same without pruning.
        explored: share of prunable weights that trained at any time.
        dead_units: units without a nonzero incoming weight.
        layers: counts per layer.
    """

    target: float | None
    realised: float | None
    emerged: float | None
    nonzeros: int | None
    prunable: int | None
    inference_flops: int | None
    inference_share: float | None
    training_flops: int | None
    training_share: float | None
    explored: float | None
    dead_units: int | None
    layers: list[dict[str, Any]]


def measured(run: Run) -> Measured:
    """Read a run's measures."""
    facts, sparsity = run.measures, run.measures.get("sparsity", {})

    def share(kind: str) -> float | None:
        count, dense = facts.get(f"{kind}_flops"), facts.get(f"dense_{kind}_flops")
        return count / dense if count is not None and dense else None

    return Measured(
        target=sparsity.get("target"),
        realised=sparsity.get("realised"),
        emerged=sparsity.get("emerged"),
        nonzeros=sparsity.get("nonzeros"),
        prunable=sparsity.get("prunable"),
        inference_flops=facts.get("inference_flops"),
        inference_share=share("inference"),
        training_flops=facts.get("training_flops"),
        training_share=share("training"),
        explored=facts.get("explored"),
        dead_units=facts.get("dead_units"),
        layers=sparsity.get("layers", []),
    )


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


@dataclass(frozen=True)
class StudyPage:
    """Everything on the page of a study: its front, and its runs by stage, the last first."""

    study: Study
    front: ParetoFront | None
    early_stopping: EarlyStoppingReport
    stages: list[tuple[Purpose, list[tuple[Run, Measured]]]]


def study_page(storage: Storage, study_id: str) -> StudyPage:
    """Read a study's page. Raises NotFound."""
    study, runs = storage.studies.get(study_id), storage.runs.of_study(study_id)
    stages = [
        (purpose, [(run, measured(run)) for run in runs if run.purpose == purpose])
        for purpose in _ORDER
    ]
    report = early_stopping.report(study, storage.runs)
    front = storage.fronts.of_study(study_id)
    return StudyPage(study, front, report, [(purpose, rows) for purpose, rows in stages if rows])
