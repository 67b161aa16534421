"""The measures of a run beside its accuracy: sparsity, operations, exploration."""

from __future__ import annotations

from dataclasses import dataclass

from ham.client.records import Run
from ham.results import MeasuredLayer, MeasuredSparsity


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
    layers: tuple[MeasuredLayer, ...]


def measured(run: Run) -> Measured:
    """Read a run's measures."""
    measures, sparsity = run.measures, run.measures.sparsity or MeasuredSparsity()
    return Measured(
        target=sparsity.target,
        realised=sparsity.realised,
        emerged=sparsity.emerged,
        nonzeros=sparsity.nonzeros,
        prunable=sparsity.prunable,
        inference_flops=measures.inference_flops,
        inference_share=_share(measures.inference_flops, measures.dense_inference_flops),
        training_flops=measures.training_flops,
        training_share=_share(measures.training_flops, measures.dense_training_flops),
        explored=measures.explored,
        dead_units=measures.dead_units,
        layers=sparsity.layers,
    )


def _share(count: int | None, dense: int | None) -> float | None:
    return count / dense if count is not None and dense else None
