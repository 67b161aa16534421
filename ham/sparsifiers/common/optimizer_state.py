"""Reset of optimizer state for weights that are dropped, grown or rewound."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer


def zero_optimizer_state(optimizer: Optimizer, weight: Tensor, where: Tensor) -> None:
    """Zero every state tensor of the weight's shape where a boolean mask is True.

    This covers momentum, Adam's moments and similar state of any optimizer. State of other shapes
    (Adafactor's row and column statistics, step counts) has no entry per weight and stays as it
    is.

    Args:
        optimizer: the optimizer that updates ``weight``.
        weight: (out, in, *kernel).
        where: boolean, same shape as ``weight``; True where the state becomes zero.
    """
    for value in optimizer.state.get(weight, {}).values():
        if torch.is_tensor(value) and value.shape == weight.shape:
            value.masked_fill_(where, 0)


def restart_optimizer(optimizer: Optimizer) -> None:
    """Remove all state of all parameters, step counts included, as in a new optimizer."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state.pop(parameter, None)
