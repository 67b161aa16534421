"""Makes the outcomes that a study execution stores from what it knows of a training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ham.client.records import EpochMetrics, Plan, Run, RunState, StoredMeasures
from ham.results import EarlyStop, MeasuredCost, RunMeasures
from service.domain.search.early_stopping import Verdict
from service.records import Outcome


def failed_unless_finite(outcome: Outcome) -> Outcome:
    """Return the outcome, as a failure if it has no finite validation accuracy."""
    accuracy = outcome.validation_accuracy
    if outcome.error is None and (accuracy is None or not math.isfinite(accuracy)):
        reason = f"the validation accuracy is {accuracy}"
        return outcome.model_copy(update={"error": reason, "validation_accuracy": None})
    return outcome


def pruned_outcome(
    plan: Plan, curve: Sequence[EpochMetrics], verdict: Verdict, environment: dict[str, Any]
) -> Outcome:
    """Return the outcome of a run that early stopping ended after the last epoch of its curve."""
    stop = EarlyStop(rule=plan.early_stopping, rank_correlation=verdict.rank_correlation)
    return Outcome(
        pruned=True,
        validation_accuracy=curve[-1].validation_accuracy,
        seconds=sum(point.seconds for point in curve),
        environment=environment,
        measures=StoredMeasures().updated(RunMeasures(early_stopping=stop)),
    )


def with_curve(outcome: Outcome, curve: tuple[EpochMetrics, ...], gpus: float) -> Outcome:
    """Add a curve to an outcome, and its cost: seconds, and GPU seconds of ``gpus`` GPUs."""
    seconds = outcome.seconds or sum(point.seconds for point in curve)
    measures = outcome.measures.updated(RunMeasures(cost=MeasuredCost(gpus * seconds)))
    update = {"curve": curve, "seconds": seconds, "measures": measures}
    return outcome.model_copy(update=update)


def outcome_of(run: Run) -> Outcome:
    """Return the outcome of a stored run that has ended, as Optuna needs it."""
    return Outcome(
        validation_accuracy=run.validation_accuracy,
        measures=run.measures,
        error=run.error,
        pruned=run.state == RunState.PRUNED,
    )
