"""Alpha and beta over optimizer steps: constant, or falling to 0 until the end of a training.

Under iterative pruning a run has several trainings. The schedules of alpha and beta start again
with each training, as that of the learning rate does: the products lr * alpha and lr * beta are
the effective strengths.
"""

from __future__ import annotations

import math
from typing import Any

from torch.optim import Optimizer

from ham.config import HamConfig, Schedule


def strength_factor(schedule: Schedule, progress: float) -> float:
    """Return the factor that multiplies alpha or beta, in [0, 1].

    Args:
        schedule: shape over the training.
        progress: share of the training's steps that are done, in [0, 1].

    Examples:
        >>> [strength_factor(name, 0.25) for name in ("constant", "linear")]
        [1.0, 0.75]
        >>> round(strength_factor("cosine", 0.25), 3)
        0.854
    """
    if schedule == "linear":
        return 1 - progress
    if schedule == "cosine":
        return (1 + math.cos(math.pi * progress)) / 2
    return 1.0


class StrengthSchedule:
    """Sets alpha and beta of a HAM from the number of the step.

    The number determines both, so this schedule has no state to save in a checkpoint.

    Args:
        optimizer: a HAM whose groups hold alpha and beta at full strength.
        ham_config: configuration whose ``alpha_schedule`` and ``beta_schedule`` are followed.
        steps: optimizer steps of one training, >= 1.
    """

    def __init__(self, optimizer: Optimizer, ham_config: HamConfig, steps: int) -> None:
        self._optimizer = optimizer
        self._steps = steps
        schedules: dict[str, Schedule] = {
            "ham_alpha": ham_config.alpha_schedule,
            "ham_beta": ham_config.beta_schedule,
        }
        self._varying = {name: shape for name, shape in schedules.items() if shape != "constant"}
        self._full = [{name: group[name] for name in schedules} for group in self._groups]

    @property
    def _groups(self) -> list[dict[str, Any]]:
        return self._optimizer.param_groups  # load_state_dict replaces them

    def set(self, step: int) -> None:
        """Set alpha and beta for a step; ``step`` counts from 1, over all trainings of a run."""
        progress = (step - 1) % self._steps / self._steps
        for name, schedule in self._varying.items():
            factor = strength_factor(schedule, progress)
            for group, full in zip(self._groups, self._full, strict=True):
                group[name] = full[name] * factor
