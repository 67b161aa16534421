"""The base optimizers whose step a one-pass kernel can take: SGD, Adam and AdamW.

Their steps become coefficients of the kernel. Their state stays torch's own, in ``base.state``.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from ham.optim.kernels import tensor_table
from ham.optim.kernels.tensor_table import on_host


def can_fuse(base: Optimizer) -> bool:
    """Tell whether a kernel can take this base's step instead of the base.

    False for a subclass of the three, which may change the step; for a base with hooks of its own
    or with a ``step`` that a scheduler has wrapped, since these would not run; and for options
    that the coefficients cannot express: differentiable, capturable, amsgrad, a learning rate or
    weight decay on an accelerator.
    """
    return (
        type(base) in (SGD, Adam, AdamW)
        and not base._optimizer_step_pre_hooks
        and not base._optimizer_step_post_hooks
        and "step" not in vars(base)
        and all(_is_fusible(group) for group in base.param_groups)
    )


def _is_fusible(group: dict[str, Any]) -> bool:
    special = group.get("differentiable") or group.get("capturable") or group.get("amsgrad")
    return not special and on_host(group["lr"], group["weight_decay"])


def kernel_base(base: Optimizer) -> int:
    """Return the kernels' number of a fusible base: ``tensor_table.SGD`` or ``.ADAM``."""
    return tensor_table.SGD if type(base) is SGD else tensor_table.ADAM


def moments(base: Optimizer, group: dict[str, Any], param: Tensor) -> tuple[Tensor, ...] | None:
    """Return the base's moments of a parameter; None where the base must create them first."""
    state = base.state.get(param, {})
    if type(base) is SGD:
        if group["momentum"] == 0:
            return ()
        buffer = state.get("momentum_buffer")
        return None if buffer is None else (buffer,)
    if not state or state["step"].device.type != "cpu":
        return None
    return (state["exp_avg"], state["exp_avg_sq"])


def next_step_number(base: Optimizer, param: Tensor) -> float:
    """Return the number of a parameter's next step, from 1; 0 where the base counts none."""
    return 0.0 if type(base) is SGD else float(base.state[param]["step"]) + 1


def count_steps(base: Optimizer, params: list[Tensor]) -> None:
    """Count the step of these parameters in the base's state."""
    if params and type(base) is not SGD:
        torch._foreach_add_([base.state[param]["step"] for param in params], 1)


def base_coefficients(base: Optimizer, group: dict[str, Any], step: float) -> dict[str, float]:
    """Return the coefficients of the base's step number ``step`` in a group."""
    if type(base) is SGD:
        return {
            "coupled_decay": group["weight_decay"],
            "first_keep": group["momentum"],
            "first_take": 1 - group["dampening"],
            "nesterov": group["nesterov"],
        }
    first, second = group["betas"]
    decoupled = group["decoupled_weight_decay"]
    return {
        "coupled_decay": 0.0 if decoupled else group["weight_decay"],
        "decoupled_decay": group["weight_decay"] if decoupled else 0.0,
        "first_keep": first,
        "first_take": 1 - first,
        "second_keep": second,
        "step_size": group["lr"] / (1 - first**step),
        "second_scale": 1 / math.sqrt(1 - second**step),
        "eps": group["eps"],
    }
