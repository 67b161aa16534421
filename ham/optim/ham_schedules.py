"""Alpha and beta over optimizer steps: constant, or going to 0 by the end of a training.

Under iterative pruning a run is several trainings. The strengths begin anew with each, as the
learning rate does: alpha and beta act through their products with it.
"""

from __future__ import annotations

import math
from typing import Any

from torch.optim import Optimizer

from ham.config import HamConfig, Schedule


def strength_factor(schedule: Schedule, progress: float) -> float:
    """Return the share of alpha or beta that is in force, in [0, 1].

    Args:
        schedule: its shape.
        progress: share of the training's steps that are done, in [0, 1].

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
    """Sets alpha and beta of a HAM from the number of the step, so it has no state of its own.

    Args:
        optimizer: a HAM whose groups hold the full strengths.
        setting: which shapes they follow.
        steps: optimizer steps of one training, >= 1.
    """

    def __init__(self, optimizer: Optimizer, setting: HamConfig, steps: int) -> None:
        self._optimizer = optimizer
        self._steps = steps
        schedules: dict[str, Schedule] = {
            "ham_alpha": setting.alpha_schedule,
            "ham_beta": setting.beta_schedule,
        }
        self._moving = {name: shape for name, shape in schedules.items() if shape != "constant"}
        self._full = [{name: group[name] for name in schedules} for group in self._groups]

    @property
    def _groups(self) -> list[dict[str, Any]]:
        return self._optimizer.param_groups  # new ones after every load_state_dict

    def set(self, step: int) -> None:
        """Set the strengths that a step uses; steps count from 1, over all trainings."""
        progress = (step - 1) % self._steps / self._steps
        for name, schedule in self._moving.items():
            factor = strength_factor(schedule, progress)
            for group, full in zip(self._groups, self._full, strict=True):
                group[name] = full[name] * factor
