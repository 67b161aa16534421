"""The HAM step in ordinary PyTorch operations: tensor by tensor, or all tensors at once."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from ham.optim.formula import hyperbolic_step_
from ham.optim.kernels.parameter_updates import ParameterUpdate


def reference_step(updates: list[ParameterUpdate]) -> None:
    """Apply the formula tensor by tensor; temporaries are as large as the largest tensor."""
    for update in updates:
        group = update.group
        hyperbolic_step_(
            update.theta,
            update.grad,
            lr=group["lr"],
            alpha=update.grad_sign * group["ham_alpha"],
            beta=group["ham_beta"],
            max_exponent=group["ham_max_exponent"],
            sign_from=update.previous_signs,
        )


def foreach_step(updates: list[ParameterUpdate]) -> None:
    """Apply the formula with multi-tensor operations, as torch's own optimizers do on a GPU.

    It needs few kernel launches; temporaries are as large as all weights together. On a CPU they
    do not stay in the cache, so ``reference_step`` is faster there.
    """
    buckets: dict[tuple[int, torch.device, torch.dtype], list[ParameterUpdate]] = defaultdict(list)
    for update in updates:
        buckets[id(update.group), update.theta.device, update.theta.dtype].append(update)
    for bucket in buckets.values():
        _foreach_bucket(bucket)


@torch.no_grad()
def _foreach_bucket(updates: list[ParameterUpdate]) -> None:
    """Apply the step to parameters of one group, device and dtype."""
    group, grad_sign = updates[0].group, updates[0].grad_sign
    thetas = [update.theta for update in updates]
    signs = [
        update.theta if update.previous_signs is None else update.previous_signs
        for update in updates
    ]
    compute = torch.promote_types(thetas[0].dtype, torch.float32)
    exponents = torch._foreach_sign([sign.to(compute) for sign in signs])
    torch._foreach_mul_(exponents, [update.grad.to(compute) for update in updates])
    torch._foreach_mul_(exponents, -grad_sign * group["ham_alpha"])
    torch._foreach_add_(exponents, -group["ham_beta"])
    torch._foreach_mul_(exponents, group["lr"])
    torch._foreach_clamp_min_(exponents, -group["ham_max_exponent"])
    torch._foreach_clamp_max_(exponents, group["ham_max_exponent"])
    torch._foreach_exp_(exponents)
    torch._foreach_mul_(exponents, [theta.to(compute) for theta in thetas])
    torch._foreach_copy_(thetas, _where_finite(exponents, thetas))


def _where_finite(products: tuple[Tensor, ...], thetas: list[Tensor]) -> list[Tensor]:
    """Return the products, rounded to the weights' dtype; the old weight where not finite."""
    rounded = [new.to(old.dtype) for new, old in zip(products, thetas, strict=True)]
    return [
        torch.where(new.isfinite(), new, old) for new, old in zip(rounded, thetas, strict=True)
    ]
