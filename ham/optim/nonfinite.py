"""What a step does with a gradient that holds NaN or infinity.

A tensor with such a gradient sits the step out: base and HAM leave it and its state unchanged,
the other tensors move. The check reads every gradient; where native.c takes base and HAM in one
pass it looks at a few tensors at a time, just before it moves them, so that their gradients are
read from memory once. On an accelerator the host would have to wait for the answer, so there it is
off unless asked for: use GradScaler, which skips such a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import compress
from typing import Any

import torch
from torch import Tensor

from ham.errors import DivergedRun
from ham.optim.kernels import native
from ham.optim.kernels.parameter_updates import Entry, with_gradients
from ham.optim.kernels.tables import fits

POLICIES = ("auto", "skip", "raise", "ignore")


def all_finite(tensors: list[Tensor], *, by_kernel: bool) -> list[bool]:
    """Tell for each tensor whether all its values are finite, waiting for the device once.

    Args:
        tensors: dense or sparse, of any device and floating type.
        by_kernel: let one call of native.c, compiled if need be, read the tensors that it can.
    """
    stored = [values(tensor) for tensor in tensors]
    check = native.finiteness() if by_kernel else None
    if check is None:
        return _finite_by_sums(stored)
    readable = [tensor.device.type == "cpu" and fits(tensor) for tensor in stored]
    others = [not fit for fit in readable]
    by_bits = iter(check(list(compress(stored, readable))))
    by_sums = iter(_finite_by_sums(list(compress(stored, others))))
    return [next(by_bits if fit else by_sums) for fit in readable]


def _finite_by_sums(tensors: list[Tensor]) -> list[bool]:
    if not tensors:
        return []
    # A finite sum proves finite terms. An infinite one may be mere overflow, so it is looked into.
    sums = [tensor.sum().isfinite().to(tensors[0].device) for tensor in tensors]
    proven = torch.stack(sums).tolist()
    return [
        finite or bool(tensor.isfinite().all())
        for tensor, finite in zip(tensors, proven, strict=True)
    ]


def values(tensor: Tensor) -> Tensor:
    """Return the stored values of a dense or sparse tensor."""
    return tensor.coalesce().values() if tensor.layout == torch.sparse_coo else tensor


def checked_by_kernel(policy: str, device: torch.device) -> bool:
    """Tell whether native.c, as part of its step, does what the policy asks on this device."""
    return policy in ("auto", "skip") and device.type == "cpu"


def non_finite(entries: list[Entry], policy: str, *, by_kernel: bool) -> list[Entry]:
    """Return those that must sit the step out.

    Args:
        entries: parameters with their gradients.
        policy: ``"skip"``; ``"raise"``, before anything has moved; ``"ignore"``, no check;
            ``"auto"``, skip on a CPU and no check elsewhere.
        by_kernel: see ``all_finite``.

    Raises:
        DivergedRun: a gradient is not finite and the policy is ``"raise"``.
    """
    checked = [
        (group, param, grad)
        for group, param, grad in entries
        if policy in ("skip", "raise") or (policy == "auto" and grad.device.type == "cpu")
    ]
    finite = all_finite([grad for _, _, grad in checked], by_kernel=by_kernel)
    found = [entry for entry, is_finite in zip(checked, finite, strict=True) if not is_finite]
    if found and policy == "raise":
        raise DivergedRun(_message(found[0][0], found[0][1]))
    return found


@contextmanager
def skip_non_finite(
    groups: list[dict[str, Any]], policy: str, *, by_kernel: bool
) -> Iterator[None]:
    """Hide the gradients of tensors that must not move while the body runs; see ``non_finite``."""
    hidden = non_finite(list(with_gradients(groups)), policy, by_kernel=by_kernel)
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
        f"alpha={group['ham_alpha']}, beta={group['ham_beta']}; nothing has moved. "
        "Lower the learning rate or alpha, or clip the gradients"
    )
