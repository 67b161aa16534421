"""Iterative magnitude pruning: train to the end, prune a share of the rest, train again."""

from __future__ import annotations

from typing import Any

from ham.catalog import prunings
from ham.errors import InvalidConfig
from ham.sparsifiers.common.masked import MaskedSparsifier
from ham.sparsifiers.common.regrowth import restart_optimizer


class IterativePruner(MaskedSparsifier):
    """Several trainings in one, each on the weights that the one before it left.

    ``total_steps`` covers all trainings; each takes an equal part of them, under a learning rate
    that begins anew. The first step of every training but the first is spent on pruning: the
    weights that a training ends with stay to be measured until the next one begins.

    Args:
        prune_fraction: share of the remaining weights that is pruned between two trainings, the
            smallest magnitudes over all layers together, in (0, 1).
        **common: see :class:`~ham.sparsifiers.common.MaskedSparsifier`.

    Attributes:
        trainings: how many trainings there are, so that the last one has the asked sparsity.

    Raises:
        InvalidConfig: an argument is outside its range, or a training would have no step.

    Deviations: the last pruning is clipped to end at exactly the asked sparsity, where the
        published codes end at the first power of the kept share below it.
    """

    def __init__(self, sparsity: float, *, prune_fraction: float = 0.2, **common: Any) -> None:
        super().__init__(sparsity, **common)
        if not 0 < prune_fraction < 1:
            raise InvalidConfig("prune_fraction", prune_fraction, "it must be in (0, 1)")
        self.prune_fraction = prune_fraction
        self.trainings = 1 + prunings(sparsity, prune_fraction)
        if self.total_steps < self.trainings:
            raise InvalidConfig(
                "total_steps",
                self.total_steps,
                f"it covers {self.trainings} trainings, of at least one step each",
            )
        self._prunings = {self.steps_before(number): number for number in range(self.trainings)}

    def steps_before(self, training: int) -> int:
        """Return how many steps are taken before a training begins; trainings count from 0."""
        return training * self.total_steps // self.trainings

    def sparsity_of(self, training: int) -> float:
        """Return the sparsity of a training, the first being 0: ``1 - (1 - fraction)^k``."""
        return min(self.sparsity, 1 - (1 - self.prune_fraction) ** training)

    def before_step(self, step: int) -> None:
        """Prune where a training begins, and skip the step; mask the gradients otherwise."""
        training = self._prunings.get(step - 1, 0)
        if training == 0:
            super().before_step(step)
            return
        self.keep_highest(self.magnitudes(), self.sparsity_of(training))
        self.rewind()
        restart_optimizer(self.optimizer)
        # Neither the base nor HAM moves a parameter that has no gradient.
        self.optimizer.zero_grad(set_to_none=True)

    def rewind(self) -> None:
        """Put the weights to where the next training begins, dropped ones to zero."""
        raise NotImplementedError
