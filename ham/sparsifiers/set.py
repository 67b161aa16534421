"""SET: drop the smallest weights, grow random positions.

Reference: Mocanu et al., "Scalable Training of Artificial Neural Networks with Adaptive Sparse
Connectivity Inspired by Network Science", Nature Communications 2018,
https://arxiv.org/abs/1707.04780; in the form of Evci et al., ICML 2020 (RigL), section 4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ham.sparsifiers.common.dynamic import DynamicSparsifier


class SET(DynamicSparsifier):
    """Drop by magnitude, grow uniformly at random, after an ordinary step.

    Args: see :class:`~ham.sparsifiers.common.dynamic.DynamicSparsifier`. The defaults are those of
        the RigL paper: ERK, drop fraction 0.3 with a cosine, an update every 100 steps until 75 %
        of the training.

    Deviations: the original updates once per epoch with a constant drop fraction, takes half of
        the dropped weights from the positive and half from the negative ones, and draws grown
        weights from the initial distribution. Here, as in RigL's comparison, magnitude alone
        decides and grown weights start at zero. A weight that was just dropped may grow again.
    """

    def after_step(self, step: int) -> None:
        """Mask the weights, then update the masks at an update."""
        super().after_step(step)
        if self.is_update(step):
            self.update_masks(step)

    def growth_scores(self, name: str, weight: Tensor) -> Tensor:
        """Return a random score for every position."""
        scores = torch.rand(weight.shape, generator=self.generator, dtype=torch.float64)
        return scores.to(weight.device)
