"""The HAM step as the paper writes it; every faster path is tested against this file.

Reference: Jacobs et al., "Hyperbolic Aware Minimization: Implicit Bias for Sparsity",
ICLR 2026, https://arxiv.org/abs/2506.02630, the update HYP*.
"""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def hyperbolic_step_(
    theta: Tensor,
    grad: Tensor,
    *,
    lr: float | Tensor,
    alpha: float,
    beta: float,
    max_exponent: float = 5.0,
    sign_from: Tensor | None = None,
) -> None:
    """Multiply ``theta`` in place by ``exp(-lr (alpha sign(theta) grad + beta))``.

    Zeros stay zero. A weight whose new value would not be finite is left as it is. bfloat16 and
    float16 are computed in float32 and rounded once, so the result is within half a unit in the
    last place of the exact product; a factor closer to 1 than that has no effect on such a weight.

    Args:
        theta: weights after the base step, theta_half.
        grad: gradient of the loss that is minimized.
        lr: learning rate of the base step, a number or a one-element tensor.
        alpha: strength of the sign-gradient term, >= 0.
        beta: strength of the shrinkage term, >= 0.
        max_exponent: the exponent is clamped to [-max_exponent, max_exponent].
        sign_from: tensor whose signs are used; None is HYP* (``theta`` itself), the weights
            before the base step are HYP.

    Shape:
        theta, grad, sign_from: the same, any.

    Examples:
        >>> theta = torch.tensor([0.099, 0.0], dtype=torch.float64)
        >>> hyperbolic_step_(theta, torch.tensor([0.01, 0.01]), lr=0.1, alpha=200.0, beta=1e-3)
        >>> [round(value, 7) for value in theta.tolist()]
        [0.0810462, 0.0]
    """
    compute = torch.promote_types(theta.dtype, torch.float32)
    signs = (theta if sign_from is None else sign_from).sign().to(compute)
    exponent = lr * (-alpha * signs * grad.to(compute) - beta)
    factor = exponent.clamp(-max_exponent, max_exponent).exp()
    updated = (theta.to(compute) * factor).to(theta.dtype)
    theta.copy_(torch.where(updated.isfinite(), updated, theta))
