"""The learning rate over optimizer steps: linear warm-up, then cosine or constant."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from ham.config import Recipe
from ham.errors import InvalidConfig


def learning_rate_factor(step: int, *, warmup: int, total: int, cosine: bool) -> float:
    """Return the factor that multiplies the peak learning rate in a step, in [0, 1].

    Args:
        step: number of the step, from 0.
        warmup: steps of the linear warm-up, >= 0.
        total: steps of the schedule with its warm-up, > warmup; the cosine is 0 from there on.
        cosine: True for a cosine after the warm-up, False for a constant.

    Examples:
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
    """Build the recipe's schedule; call its ``step()`` once after each optimizer step.

    The cosine reaches 0 at the end of ``recipe.epochs``; a run that stops earlier does not shorten
    it. The schedule starts again with each further training of the run.

    Args:
        optimizer: its groups hold the peak learning rate.
        recipe: shape, epochs of the warm-up, and epochs in all.
        steps_per_epoch: optimizer steps in one epoch, >= 1.
        trainings: trainings of the run, each with the whole schedule, >= 1.

    Raises:
        InvalidConfig: an epoch has no steps; the warm-up is negative, or leaves no epoch after it.
    """
    if steps_per_epoch < 1:
        raise InvalidConfig("steps_per_epoch", steps_per_epoch, "it must be at least 1")
    if not 0 <= recipe.warmup_epochs < recipe.epochs:
        raise InvalidConfig(
            "warmup_epochs", recipe.warmup_epochs, f"0 <= warmup_epochs < {recipe.epochs} epochs"
        )

    length = recipe.epochs * steps_per_epoch

    def factor(step: int) -> float:
        completed = min(step // length, trainings - 1)
        return learning_rate_factor(
            step - completed * length,
            warmup=recipe.warmup_epochs * steps_per_epoch,
            total=length,
            cosine=recipe.schedule == "cosine",
        )

    return LambdaLR(optimizer, factor)
