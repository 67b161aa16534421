from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ham.optim.formula import hyperbolic_step_

# (theta, gradient, lr, alpha, beta) -> theta after an SGD step and the HAM step.
VECTORS = [
    (0.1, 0.01, 0.1, 200, 1e-3, 0.0810462395),
    (-0.1, 0.01, 0.1, 200, 1e-3, -0.1233493430),
    (0.0005, 0.01, 0.1, 200, 1e-3, -0.0006106403),
    (0.0, 0.01, 0.1, 200, 1e-3, -0.0012212806),
    (0.1, 0.0, 0.2, 200, 16e-3, 0.0996805115),
    (0.1, -1.0, 0.1, 200, 1e-3, 29.6826318205),
]
numbers = st.floats(-10, 10)


def step(theta: float, grad: float, dtype: torch.dtype = torch.float64, **options: Any) -> float:
    tensor = torch.tensor([theta], dtype=dtype)
    hyperbolic_step_(tensor, torch.tensor([grad], dtype=dtype), **options)
    return tensor.item()


@pytest.mark.parametrize("theta, grad, lr, alpha, beta, expected", VECTORS)
def test_formula_gives_the_published_vectors(
    theta: float, grad: float, lr: float, alpha: float, beta: float, expected: float
) -> None:
    half = theta - lr * grad
    assert step(half, grad, lr=lr, alpha=alpha, beta=beta) == pytest.approx(expected, abs=1e-10)


@given(grad=st.floats(allow_nan=True, allow_infinity=True, width=32))
def test_formula_keeps_zeros_at_zero(grad: float) -> None:
    assert step(0.0, grad, lr=0.1, alpha=200.0, beta=1e-3) == 0.0


@given(theta=numbers, grad=numbers, alpha=st.floats(0, 500), beta=st.floats(0, 1))
def test_formula_keeps_signs_and_bounds_the_factor(
    theta: float, grad: float, alpha: float, beta: float
) -> None:
    updated = step(theta, grad, lr=0.1, alpha=alpha, beta=beta, max_exponent=2.0)
    bound = torch.tensor(2.0, dtype=torch.float64).exp().item() * (1 + 1e-12)
    assert abs(theta) / bound <= abs(updated) <= abs(theta) * bound
    assert (updated > 0) == (theta > 0) or abs(theta) < 1e-300


@given(theta=numbers, grad=numbers)
def test_formula_shrinks_weights_that_the_gradient_pushes_toward_zero(
    theta: float, grad: float
) -> None:
    updated = step(theta, grad, lr=0.1, alpha=2.0, beta=0.0)
    if theta * grad > 0:
        assert abs(updated) <= abs(theta)
    else:
        assert abs(updated) >= abs(theta)


def test_formula_and_mask_commute() -> None:
    generator = torch.Generator().manual_seed(0)
    theta, grad = torch.randn(2, 1000, generator=generator)
    mask = torch.rand(1000, generator=generator) > 0.9
    options: dict[str, Any] = {"lr": 0.1, "alpha": 200.0, "beta": 1e-3}
    masked_before, masked_after = theta * mask, theta.clone()
    hyperbolic_step_(masked_before, grad, **options)
    hyperbolic_step_(masked_after, grad, **options)
    assert torch.equal(masked_before, masked_after * mask)


def test_formula_of_hyp_uses_the_signs_it_is_given() -> None:
    theta, grad = torch.tensor([-0.1]), torch.tensor([0.1])
    signs = torch.tensor([1.0])
    hyperbolic_step_(theta, grad, sign_from=signs, lr=0.1, alpha=20.0, beta=0.0)
    assert theta.item() == pytest.approx(-0.1 * torch.tensor(-0.2).exp().item())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_formula_rounds_low_precision_once(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(10_000, generator=generator).to(dtype)
    grad = (0.1 * torch.randn(10_000, generator=generator)).to(dtype)
    exact = theta.double()
    options: dict[str, Any] = {"lr": 0.1, "alpha": 20.0, "beta": 1e-2}
    hyperbolic_step_(exact, grad.double(), **options)
    hyperbolic_step_(theta, grad, **options)
    half_ulp = torch.finfo(dtype).eps / 2
    smallest = torch.finfo(dtype).tiny
    error = (theta.double() - exact).abs() / exact.abs().clamp(min=smallest)
    assert error.max().item() <= half_ulp * 1.001


def test_formula_shrinkage_below_half_a_bfloat16_ulp_is_lost() -> None:
    assert step(1.0, 0.0, torch.bfloat16, lr=0.1, alpha=0.0, beta=1e-3) == 1.0
    assert step(1.0, 0.0, torch.float32, lr=0.1, alpha=0.0, beta=1e-3) < 1.0


@pytest.mark.parametrize("grad", [float("nan"), -1e4])
def test_formula_makes_no_finite_weight_infinite(grad: float) -> None:
    assert step(60_000.0, grad, torch.float16, lr=0.1, alpha=200.0, beta=0.0) == 60_000.0


def test_formula_takes_a_tensor_learning_rate() -> None:
    with_number = step(0.5, 0.1, lr=0.1, alpha=20.0, beta=0.1)
    with_tensor = step(0.5, 0.1, lr=torch.tensor(0.1, dtype=torch.float64), alpha=20.0, beta=0.1)
    assert with_tensor == with_number
