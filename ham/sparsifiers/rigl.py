"""RigL: drop the smallest weights, grow where the gradient is largest.

Reference: Evci, Gale, Menick, Castro and Elsen, "Rigging the Lottery: Making All Tickets
Winners", ICML 2020, https://arxiv.org/abs/1911.11134, Algorithm 1.
"""

from __future__ import annotations

from torch import Tensor

from ham.sparsifiers.common.dynamic import DynamicSparsifier


class RigL(DynamicSparsifier):
    """Drop by magnitude, grow by the magnitude of the dense gradient.

    At an update the masks move instead of the weights: base step and HAM are skipped, since the
    gradient has been spent on the choice of where to grow.

    Args: see :class:`~ham.sparsifiers.common.dynamic.DynamicSparsifier`. The defaults are the
        paper's: ERK, drop fraction 0.3 with a cosine, an update every 100 steps until 75 % of the
        training.

    Deviations: no update at step 0 (the authors' code reshuffles the random mask there); the
        interval shrinks for trainings of fewer than 2,000 steps; ties of magnitude go to the
        first in memory and not to noise.
    """

    def before_step(self, step: int) -> None:
        """Move the masks and skip the step at an update; mask the gradients otherwise."""
        if not self.is_update(step):
            super().before_step(step)
            return
        self.update_masks(step)
        # Neither the base nor HAM moves a parameter that has no gradient.
        self.optimizer.zero_grad(set_to_none=True)

    def reads_dense_gradient(self, step: int) -> bool:
        """Answer yes at updates, where the gradient decides what grows."""
        return self.is_update(step)

    def growth_scores(self, name: str, weight: Tensor) -> Tensor:
        """Score by the magnitude of the gradient, dropped positions included."""
        if weight.grad is None:
            return weight.new_zeros(weight.shape)
        return weight.grad.abs()
