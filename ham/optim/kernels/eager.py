"""The HAM step in ordinary PyTorch operations: tensor by tensor, or all tensors at once."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from ham.optim.formula import hyperbolic_step_
from ham.optim.kernels.parameter_updates import ParameterUpdate


def reference_step(moves: list[ParameterUpdate]) -> None:
    """Apply the formula tensor by tensor; temporaries are as large as the largest tensor."""
    for move in moves:
        group = move.group
        hyperbolic_step_(
            move.theta,
            move.grad,
            lr=group["lr"],
            alpha=move.grad_sign * group["ham_alpha"],
            beta=group["ham_beta"],
            max_exponent=group["ham_max_exponent"],
            sign_from=move.previous,
        )


def foreach_step(moves: list[ParameterUpdate]) -> None:
    """Apply the formula with multi-tensor kernels, as torch's own optimizers do on a GPU.

    Few launches; temporaries as large as all weights. On a CPU they leave the cache, so there
    the tensor-by-tensor path is the faster one.
    """
    buckets: dict[tuple[int, torch.device, torch.dtype], list[ParameterUpdate]] = defaultdict(list)
    for move in moves:
        buckets[id(move.group), move.theta.device, move.theta.dtype].append(move)
    for bucket in buckets.values():
        _foreach_bucket(bucket)


@torch.no_grad()
def _foreach_bucket(moves: list[ParameterUpdate]) -> None:
    group, grad_sign = moves[0].group, moves[0].grad_sign
    thetas = [move.theta for move in moves]
    signs = [move.theta if move.previous is None else move.previous for move in moves]
    compute = torch.promote_types(thetas[0].dtype, torch.float32)
    exponents = torch._foreach_sign([sign.to(compute) for sign in signs])
    torch._foreach_mul_(exponents, [move.grad.to(compute) for move in moves])
    torch._foreach_mul_(exponents, -grad_sign * group["ham_alpha"])
    torch._foreach_add_(exponents, -group["ham_beta"])
    torch._foreach_mul_(exponents, group["lr"])
    torch._foreach_clamp_min_(exponents, -group["ham_max_exponent"])
    torch._foreach_clamp_max_(exponents, group["ham_max_exponent"])
    torch._foreach_exp_(exponents)
    torch._foreach_mul_(exponents, [theta.to(compute) for theta in thetas])
    torch._foreach_copy_(thetas, _finite_or_unmoved(exponents, thetas))


def _finite_or_unmoved(moved: tuple[Tensor, ...], thetas: list[Tensor]) -> list[Tensor]:
    rounded = [new.to(old.dtype) for new, old in zip(moved, thetas, strict=True)]
    return [
        torch.where(new.isfinite(), new, old) for new, old in zip(rounded, thetas, strict=True)
    ]
