"""What the optimizer remembers of a weight that is dropped or begins anew."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer


def zero_optimizer_state(optimizer: Optimizer, weight: Tensor, where: Tensor) -> None:
    """Zero every state tensor of the weight's shape at the positions of a mask.

    This covers momentum, Adam's moments and their like without naming an optimizer. State of
    other shapes (Adafactor's rows and columns, step counts) cannot be told apart by position and
    is left as it is.

    Args:
        optimizer: the one that moves ``weight``.
        weight: (out, in, *kernel).
        where: boolean, the shape of ``weight``; True where the state is forgotten.
    """
    for value in optimizer.state.get(weight, {}).values():
        if torch.is_tensor(value) and value.shape == weight.shape:
            value.masked_fill_(where, 0)


def restart_optimizer(optimizer: Optimizer) -> None:
    """Drop all state of all parameters, step counts included, as in an optimizer just built."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state.pop(parameter, None)
