"""Under-determined linear regression: the interpolator that mirror flow converges to.

Started at x0, the flow of ``||Z x - y||^2`` moves R'(x) within the row space of Z, so its limit is
the x with ``Z x = y`` and ``R'(x) - R'(x0) = Z^T nu``: of all interpolators the one that is
nearest to x0 in the Bregman divergence of R (Gunasekar et al., ICML 2018,
https://arxiv.org/abs/1802.08246). For x0 = 0 it minimizes the sum of R(x): least L2 at alpha = 0,
toward least L1 as alpha grows.
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
    """Solve for the limit of mirror flow by damped Newton steps on nu.

    Args:
        design: Z, of full row rank. Use float64.
        targets: y.
        alpha: HAM's alpha, >= 0.
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
    """Return the first of 1, 1/2, 1/4, ... that brings the residual down."""
    damping = 1.0
    while damping > 1e-12 and not interpolate(nu - damping * direction)[1].norm() < residual:
        damping /= 2
    return damping
