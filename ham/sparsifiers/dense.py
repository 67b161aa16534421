"""Dense training: no sparsity, the reference for every other method."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.nn.functional import cross_entropy

from ham.errors import InvalidConfig
from ham.sparsifiers.common.protocol import BaseSparsifier, Batch, Loss, ParamGroup
from ham.sparsifiers.common.prunable import prunable_weights
from ham.sparsifiers.common.report import SparsityReport, measure_sparsity


class Dense(BaseSparsifier):
    """Keep every weight and change nothing.

    Args:
        sparsity, total_steps, steps_per_epoch, seed: see
            :class:`~ham.sparsifiers.common.BaseSparsifier`; the sparsity must be 0.
    """

    def __init__(
        self, sparsity: float = 0.0, *, total_steps: int, steps_per_epoch: int = 1, seed: int = 0
    ) -> None:
        if sparsity != 0:
            raise InvalidConfig("sparsity", sparsity, "dense training has sparsity 0")
        super().__init__(
            sparsity, total_steps=total_steps, steps_per_epoch=steps_per_epoch, seed=seed
        )

    def attach(
        self, model: nn.Module, batches: Iterable[Batch] = (), loss: Loss = cross_entropy
    ) -> list[ParamGroup]:
        """Collect the prunable weights for the report."""
        self._weights = prunable_weights(model)
        return [{"params": list(model.parameters())}]

    def kept(self) -> dict[str, int]:
        """Return the number of weights of each layer."""
        return {name: weight.numel() for name, weight in self._weights.items()}

    def explored(self) -> float:
        """Return 1: every weight is kept."""
        return 1.0

    def report(self) -> SparsityReport:
        """Return target 0 and the counts; a zero in them is there by chance."""
        return measure_sparsity(0.0, self._weights, self.kept())
