"""Iterative magnitude pruning: train, prune a share of the remaining weights, train again."""

from __future__ import annotations

from typing import Any

from ham.catalog import prunings
from ham.errors import InvalidConfig
from ham.sparsifiers.common.masked import MaskedSparsifier
from ham.sparsifiers.common.optimizer_state import restart_optimizer


class IterativeSparsifier(MaskedSparsifier):
    """Run several full-length trainings, each with the weights that the last pruning kept.

    ``total_steps`` covers all trainings. Each training takes an equal part of the steps, and the
    learning rate restarts with it. The first step of every training but the first prunes instead
    of training, so the final weights of a training can be measured until the next one begins.

    Args:
        prune_fraction: share of the remaining weights that is pruned between two trainings, in
            (0, 1). The smallest magnitudes over all layers together are pruned.
        **common: see :class:`~ham.sparsifiers.common.MaskedSparsifier`.

    Attributes:
        trainings: number of trainings; the last one has the target sparsity.

    Raises:
        InvalidConfig: an argument is outside its range, or a training would have no step.

    Deviations: the last pruning ends at exactly the target sparsity. The published
        implementations end at the first power of the kept share below it.
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
                f"it must be >= {self.trainings}, one step for each training",
            )
        self._prunings = {self.steps_before(number): number for number in range(self.trainings)}

    def steps_before(self, training: int) -> int:
        """Return the number of steps before a training begins; trainings count from 0."""
        return training * self.total_steps // self.trainings

    def sparsity_of(self, training: int) -> float:
        """Return the sparsity of training k, counted from 0: ``1 - (1 - prune_fraction)^k``."""
        return min(self.sparsity, 1 - (1 - self.prune_fraction) ** training)

    def before_step(self, step: int) -> None:
        """Prune and skip the step if a training begins; mask the gradients otherwise."""
        training = self._prunings.get(step - 1, 0)
        if training == 0:
            super().before_step(step)
            return
        self.keep_highest(self.magnitudes(), self.sparsity_of(training))
        self.rewind()
        restart_optimizer(self.optimizer)
        # Neither the base optimizer nor HAM moves a parameter without gradient.
        self.optimizer.zero_grad(set_to_none=True)

    def rewind(self) -> None:
        """Set the weights that the next training begins with; dropped weights become zero."""
        raise NotImplementedError
