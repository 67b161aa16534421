"""The measures of a run beside its accuracies, as the pages show them."""

from __future__ import annotations

from dataclasses import dataclass

from ham.client.records import Run
from ham.results import MeasuredCost, MeasuredSparsity, RunMeasures


@dataclass(frozen=True)
class ShownMeasures:
    """The measures of a run, with the parts that may be missing, and shares of operations.

    Attributes:
        of_run: the measures of the run.
        sparsity, cost: parts of the measures; empty if the run ended without them.
        inference_share: operations of one forward pass, as a share of the dense model's.
        training_share: operations of the whole training, as a share of the dense model's.
    """

    of_run: RunMeasures
    sparsity: MeasuredSparsity
    cost: MeasuredCost
    inference_share: float | None
    training_share: float | None


def shown_measures(run: Run) -> ShownMeasures:
    """Return the measures of a run as the pages show them."""
    measures = run.measures
    return ShownMeasures(
        of_run=measures,
        sparsity=measures.sparsity or MeasuredSparsity(),
        cost=measures.cost or MeasuredCost(),
        inference_share=_share(measures.inference_flops, measures.dense_inference_flops),
        training_share=_share(measures.training_flops, measures.dense_training_flops),
    )


def _share(count: int | None, dense: int | None) -> float | None:
    return count / dense if count is not None and dense else None
