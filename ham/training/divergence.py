"""Detection of divergence: a loss or a parameter that is not finite."""

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
        losses: the losses of one epoch's steps, of shape (steps,).
        model: the model after that epoch.
        config: run config; its alpha and beta appear in the message.
        epoch: number of the epoch, from 1.
        learning_rate: learning rate of the epoch's last step.
    """
    found = _first_nonfinite(losses, model)
    if found is None:
        return
    step, quantity = found
    ham_config = config.setting
    raise DivergedRun(
        f"{quantity} is not finite at step {(epoch - 1) * len(losses) + step} (epoch {epoch}) "
        f"with learning rate {learning_rate:g}, alpha {ham_config.alpha:g}, "
        f"beta {ham_config.beta:g}; lower alpha or the learning rate"
    )


def _first_nonfinite(losses: Tensor, model: nn.Module) -> tuple[int, str] | None:
    """Return the step of the epoch, from 1, and the quantity that is not finite."""
    nonfinite = (~torch.isfinite(losses)).nonzero()
    if len(nonfinite):
        return int(nonfinite[0]) + 1, "the loss"
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            return len(losses), f"parameter {name}"
    return None
