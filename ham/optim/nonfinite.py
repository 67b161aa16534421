"""The treatment of gradients that hold NaN or infinity.

A tensor with such a gradient is skipped in this step: base and HAM leave the tensor and its state
unchanged, and update the other tensors. ``nonfinite`` of :class:`ham.HAM` selects this policy or
another one.

The check reads every gradient. On the path ``fused_base`` native.c checks a few tensors at a time
just before it updates them, so that their gradients are read from memory once. On an accelerator
the host would have to wait for the answer. The policy ``"auto"`` therefore makes no check there:
use GradScaler, which skips the whole step, or the policy ``"skip"``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ham.errors import DivergedRun
from ham.optim.kernels.finiteness import all_finite
from ham.optim.kernels.parameter_updates import ParamWithGrad, params_with_grad

POLICIES = ("auto", "skip", "raise", "ignore")


def is_checked_by_kernel(policy: str, device: torch.device) -> bool:
    """Tell whether native.c applies the policy on this device, as a part of its step."""
    return policy in ("auto", "skip") and device.type == "cpu"


def find_non_finite(
    params: list[ParamWithGrad], policy: str, *, by_kernel: bool
) -> list[ParamWithGrad]:
    """Return the parameters that the step must skip.

    Args:
        params: parameters with their gradients.
        policy: ``"skip"`` checks all; ``"raise"`` checks all and raises before any parameter has
            changed; ``"ignore"`` checks none; ``"auto"`` checks those on a CPU.
        by_kernel: True lets native.c check the gradients that it can read.

    Raises:
        DivergedRun: a gradient is not finite and the policy is ``"raise"``.
    """
    checked = [
        (group, param, grad)
        for group, param, grad in params
        if policy in ("skip", "raise") or (policy == "auto" and grad.device.type == "cpu")
    ]
    finite = all_finite([grad for _, _, grad in checked], by_kernel=by_kernel)
    found = [param for param, is_finite in zip(checked, finite, strict=True) if not is_finite]
    if found and policy == "raise":
        raise DivergedRun(_message(found[0][0], found[0][1]))
    return found


@contextmanager
def skip_non_finite(
    groups: list[dict[str, Any]], policy: str, *, by_kernel: bool
) -> Iterator[None]:
    """Within the context, hide the gradients of the parameters that the step must skip.

    For the arguments and errors see :func:`find_non_finite`.
    """
    hidden = find_non_finite(list(params_with_grad(groups)), policy, by_kernel=by_kernel)
    for _, param, _ in hidden:
        param.grad = None
    try:
        yield
    finally:
        for _, param, grad in hidden:
            param.grad = grad


def _message(group: dict[str, Any], param: Tensor) -> str:
    index = next(i for i, other in enumerate(group["params"]) if other is param)
    name = group["param_names"][index] if "param_names" in group else f"parameter {index}"
    return (
        f"the gradient of {name} {tuple(param.shape)} is not finite at lr={group['lr']}, "
        f"alpha={group['ham_alpha']}, beta={group['ham_beta']}; no parameter has changed. "
        "Lower the learning rate or alpha, or clip the gradients"
    )
