"""Telling that a training has left the finite numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ham.config import RunConfig
from ham.errors import DivergedRun


def require_finite(
    losses: Tensor, model: nn.Module, config: RunConfig, epoch: int, learning_rate: float
) -> None:
    """Raise :class:`~ham.errors.DivergedRun` if a loss or a parameter is not finite.

    Args:
        losses: (steps,), of one epoch.
        model: after that epoch.
        config: names the setting in the message.
        epoch: from 1.
        learning_rate: of the epoch's last step.
    """
    found = _first_infinite(losses, model)
    if found is None:
        return
    step, what = found
    setting = config.setting
    raise DivergedRun(
        f"{what} is not finite at step {(epoch - 1) * len(losses) + step} (epoch {epoch}) with "
        f"learning rate {learning_rate:g}, alpha {setting.alpha:g}, beta {setting.beta:g}; "
        "lower alpha or the learning rate"
    )


def _first_infinite(losses: Tensor, model: nn.Module) -> tuple[int, str] | None:
    infinite = (~torch.isfinite(losses)).nonzero()
    if len(infinite):
        return int(infinite[0]) + 1, "the loss"
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            return len(losses), f"parameter {name}"
    return None
