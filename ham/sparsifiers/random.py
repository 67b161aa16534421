"""Random pruning at initialization.

Reference: Liu et al., "The Unreasonable Effectiveness of Random Pruning", ICLR 2022,
https://arxiv.org/abs/2202.02643; Gadhikar, Mukherjee and Burkholz, "Why Random Pruning Is All We
Need to Start Sparse", ICML 2023, https://arxiv.org/abs/2210.02412.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from ham.sparsifiers.common.allocation import published_dense
from ham.sparsifiers.common.masked import MaskedSparsifier
from ham.sparsifiers.common.protocol import Batch, Loss


class Random(MaskedSparsifier):
    """A uniformly random mask per layer, drawn before the first step and never changed.

    Args:
        allocation: densities per layer: ``erk``, ``uniform`` or ``balanced``.
        **common: see :class:`~ham.sparsifiers.common.MaskedSparsifier`; ``uniform`` leaves the
            first layer dense unless ``dense_layers`` says otherwise.

    Deviations: masks hold exactly the asked number of weights, where several published codes
        draw each position by a coin. Kept weights are not rescaled.
    """

    def __init__(self, sparsity: float, *, allocation: str = "erk", **common: Any) -> None:
        super().__init__(sparsity, **common)
        self.allocation = allocation

    def published_dense_layers(self) -> tuple[str, ...]:
        """Spare the first layer under uniform densities."""
        return published_dense(self.allocation)

    def choose_masks(self, model: nn.Module, batches: Iterable[Batch], loss: Loss) -> None:
        """Draw the masks; the model's weights and the data do not matter."""
        self.draw_random_masks(self.allocation)
