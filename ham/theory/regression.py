"""Under-determined linear regression: the interpolator to which mirror flow converges.

From the start x0, the flow of ``||Z x - y||^2`` changes R'(x) only within the row space of Z. Its
limit is therefore the x with ``Z x = y`` and ``R'(x) - R'(x0) = Z^T nu``. Among all interpolators
this x is the nearest to x0 in the Bregman divergence of R. From x0 = 0 it minimizes the sum of
R(x): it has least L2 norm at alpha = 0, and goes toward least L1 norm as alpha grows.

Reference: Gunasekar et al., ICML 2018, https://arxiv.org/abs/1802.08246.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ham.errors import DivergedRun
from ham.theory.mirror_map import mirror_derivative, mirror_inverse


def mirror_interpolator(
    design: Tensor, targets: Tensor, alpha: float, start: Tensor | None = None
) -> Tensor:
    """Compute the limit of mirror flow by damped Newton steps on nu.

    Args:
        design: Z, of full row rank; use float64.
        targets: y.
        alpha: strength of the sign-gradient term, >= 0.
        start: x0; None is 0.

    Shape:
        design: (rows, columns) with rows <= columns; targets: (rows,); start, result: (columns,).

    Raises:
        DivergedRun: Newton's method did not reach a residual of 1e-10.
    """
    start = design.new_zeros(design.shape[1]) if start is None else start
    origin = mirror_derivative(start, alpha)
    nu = design.new_zeros(design.shape[0])

    def interpolate(nu: Tensor) -> tuple[Tensor, Tensor]:
        x = mirror_inverse(origin + design.T @ nu, alpha)
        return x, design @ x - targets

    x, residual = interpolate(nu)
    for _ in range(200):
        if residual.norm() < 1e-10:
            return x
        jacobian = (design * (1 + alpha * x.abs())) @ design.T
        direction = torch.linalg.solve(jacobian, residual)
        nu = nu - _damping(interpolate, nu, direction, residual.norm()) * direction
        x, residual = interpolate(nu)
    raise DivergedRun(f"no interpolator found at alpha={alpha}; residual {residual.norm():.1e}")


def _damping(
    interpolate: Callable[[Tensor], tuple[Tensor, Tensor]],
    nu: Tensor,
    direction: Tensor,
    residual: Tensor,
) -> float:
    """Return the first of 1, 1/2, 1/4, ... that reduces the residual, or one below 1e-12."""
    damping = 1.0
    while damping > 1e-12 and not interpolate(nu - damping * direction)[1].norm() < residual:
        damping /= 2
    return damping
