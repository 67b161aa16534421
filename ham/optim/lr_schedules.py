"""Learning rate over optimizer steps: linear warm-up, then cosine or constant."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from ham.config import Recipe
from ham.errors import InvalidConfig


def learning_rate_factor(step: int, *, warmup: int, total: int, cosine: bool) -> float:
    """Return the share of the peak learning rate that step ``step`` (from 0) uses, in [0, 1].

    >>> [learning_rate_factor(s, warmup=2, total=6, cosine=True) for s in (0, 1, 2, 4, 6)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if step < warmup:
        return (step + 1) / warmup
    if not cosine:
        return 1.0
    progress = (min(step, total) - warmup) / (total - warmup)
    return (1 + math.cos(math.pi * progress)) / 2


def learning_rate_schedule(
    optimizer: Optimizer, recipe: Recipe, steps_per_epoch: int, trainings: int = 1
) -> LRScheduler:
    """Build the recipe's schedule, to be stepped once after each optimizer step.

    The cosine reaches 0 at the end of ``recipe.epochs``, also when a run stops earlier, and
    begins anew with each further training.

    Args:
        optimizer: its groups hold the peak learning rate.
        recipe: shape, warm-up epochs and length.
        steps_per_epoch: optimizer steps in one epoch, >= 1.
        trainings: how often the schedule is gone through, >= 1.

    Raises:
        InvalidConfig: the warm-up leaves no step for the schedule.
    """
    if steps_per_epoch < 1:
        raise InvalidConfig("steps_per_epoch", steps_per_epoch, "it must be at least 1")
    if not 0 <= recipe.warmup_epochs < recipe.epochs:
        raise InvalidConfig(
            "warmup_epochs", recipe.warmup_epochs, f"0 <= warmup_epochs < {recipe.epochs} epochs"
        )

    length = recipe.epochs * steps_per_epoch

    def factor(step: int) -> float:
        trained = min(step // length, trainings - 1)
        return learning_rate_factor(
            step - trained * length,
            warmup=recipe.warmup_epochs * steps_per_epoch,
            total=length,
            cosine=recipe.schedule == "cosine",
        )

    return LambdaLR(optimizer, factor)
