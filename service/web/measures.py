"""The measures of a run beside its accuracy: sparsity, operations, exploration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ham.client.records import Run


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
