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
    """Draw a uniformly random mask per layer before the first step and keep it constant.

    Args:
        allocation: densities per layer: ``erk``, ``uniform`` or ``balanced``.
        **common: see :class:`~ham.sparsifiers.common.MaskedSparsifier`; ``uniform`` by default
            leaves the first layer dense.

    Deviations: the masks keep exactly the allocated number of weights; several published
        implementations draw each position independently. Kept weights are not rescaled.
    """

    def __init__(self, sparsity: float, *, allocation: str = "erk", **common: Any) -> None:
        super().__init__(sparsity, **common)
        self.allocation = allocation

    def published_dense_layers(self) -> tuple[str, ...]:
        """Return the first layer under uniform densities."""
        return published_dense(self.allocation)

    def choose_masks(self, model: nn.Module, batches: Iterable[Batch], loss: Loss) -> None:
        """Draw the masks; they do not depend on the model's weights or the data."""
        self.draw_random_masks(self.allocation)
