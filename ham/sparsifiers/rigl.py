"""RigL: drop the smallest weights, grow the positions of the largest gradient.

Reference: Evci, Gale, Menick, Castro and Elsen, "Rigging the Lottery: Making All Tickets
Winners", ICML 2020, https://arxiv.org/abs/1911.11134, Algorithm 1.
"""

from __future__ import annotations

from torch import Tensor

from ham.sparsifiers.common.dynamic import DynamicSparsifier


class RigL(DynamicSparsifier):
    """Drop by magnitude, grow by the magnitude of the dense gradient.

    An update changes the masks instead of the weights: the base step and HAM are skipped, since
    the gradient was used to choose the grown positions.

    Args: see :class:`~ham.sparsifiers.common.dynamic.DynamicSparsifier`. The defaults are the
        paper's: ERK, drop fraction 0.3 with a cosine, an update every 100 steps until 75 % of the
        training.

    Deviations: there is no update at step 0; the authors' code reshuffles the random mask there.
        The interval is shorter in trainings of fewer than 2,000 steps. Of equal magnitudes the
        first in memory is kept; the authors' code adds noise.
    """

    def before_step(self, step: int) -> None:
        """Update the masks and skip the step at an update; mask the gradients otherwise."""
        if not self.is_update(step):
            super().before_step(step)
            return
        self.update_masks(step)
        # Neither the base optimizer nor HAM moves a parameter without gradient.
        self.optimizer.zero_grad(set_to_none=True)

    def reads_dense_gradient(self, step: int) -> bool:
        """Return True at updates, where the gradient chooses the grown positions."""
        return self.is_update(step)

    def growth_scores(self, name: str, weight: Tensor) -> Tensor:
        """Return the magnitude of the gradient, also at dropped positions."""
        if weight.grad is None:
            return weight.new_zeros(weight.shape)
        return weight.grad.abs()
