from __future__ import annotations

import pytest
import torch

from ham.theory import mirror_derivative, mirror_inverse, mirror_potential

X = torch.linspace(-3, 3, 41, dtype=torch.float64)
EACH_ALPHA = pytest.mark.parametrize("alpha", [0.0, 1e-3, 1.0, 200.0])


@EACH_ALPHA
def test_mirror_derivative_is_the_derivative_of_the_potential(alpha: float) -> None:
    x = X[X != 0].clone().requires_grad_()
    (slope,) = torch.autograd.grad(mirror_potential(x, alpha).sum(), x)
    torch.testing.assert_close(slope, mirror_derivative(x.detach(), alpha))


@EACH_ALPHA
def test_mirror_curvature_is_the_inverse_of_the_metric(alpha: float) -> None:
    x = X[X != 0].clone().requires_grad_()
    (curvature,) = torch.autograd.grad(mirror_derivative(x, alpha).sum(), x)
    torch.testing.assert_close(curvature, 1 / (1 + alpha * x.detach().abs()))


@EACH_ALPHA
def test_mirror_inverse_undoes_the_derivative(alpha: float) -> None:
    torch.testing.assert_close(mirror_inverse(mirror_derivative(X, alpha), alpha), X)


def test_mirror_potential_becomes_the_square_as_alpha_vanishes() -> None:
    torch.testing.assert_close(mirror_potential(X, 1e-6), X.square() / 2, rtol=1e-5, atol=1e-5)


def test_mirror_potential_becomes_linear_up_to_logarithms_as_alpha_grows() -> None:
    ratios = [
        (mirror_potential(2 * X[-1], alpha) / mirror_potential(X[-1], alpha)).item()
        for alpha in (0.0, 1.0, 1e2, 1e6)
    ]
    assert ratios[0] == pytest.approx(4.0)
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[-1] == pytest.approx(2.0, abs=0.15)
