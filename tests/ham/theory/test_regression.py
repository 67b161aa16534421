"""The limit of HAM in under-determined linear regression, in float64."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor, nn
from torch.optim import SGD

from ham.optim import HAM
from ham.theory import mirror_derivative, mirror_interpolator

ROWS, COLUMNS, NONZEROS = 12, 24, 3
ALPHAS = (0.0, 2.0, 10.0)


@cache
def dense_problem() -> tuple[Tensor, Tensor, Tensor]:
    """Return (design, targets, sparse ground truth)."""
    generator = torch.Generator().manual_seed(4)
    design = torch.randn(ROWS, COLUMNS, generator=generator, dtype=torch.float64)
    truth = torch.zeros(COLUMNS, dtype=torch.float64)
    truth[:NONZEROS] = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
    return design, design @ truth, truth


def train(
    design: Tensor, targets: Tensor, alpha: float, lr: float, start: Tensor | None = None
) -> Tensor:
    """Run HAM with beta = 0 on the mean squared error until the residual is below 1e-9."""
    columns = design.shape[1]
    x = nn.Parameter(torch.zeros(columns, dtype=torch.float64) if start is None else start.clone())
    optimizer = HAM(SGD([x], lr=lr), alpha, 0.0, min_dims=1, nonfinite="ignore")
    for _ in range(20_000):
        residual = design @ x.detach() - targets
        if residual.norm() < 1e-9:
            break
        x.grad = design.T @ residual / len(targets)
        optimizer.step()
    return x.detach()


@cache
def limit(alpha: float, lr: float = 0.01) -> Tensor:
    design, targets, _ = dense_problem()
    return train(design, targets, alpha, lr)


def least_l1(design: Tensor, targets: Tensor) -> Tensor:
    """Return the x of least L1 norm with Zx = y, by a linear program in its two parts."""
    both_signs = np.hstack([design.numpy(), -design.numpy()])
    parts = linprog(np.ones(both_signs.shape[1]), A_eq=both_signs, b_eq=targets.numpy()).x
    return torch.from_numpy(parts[: design.shape[1]] - parts[design.shape[1] :])


def share_outside_row_space(alpha: float, lr: float, start: Tensor) -> float:
    design, targets, _ = dense_problem()
    x = train(design, targets, alpha, lr, start)
    difference = mirror_derivative(x, alpha) - mirror_derivative(start, alpha)
    inside = torch.linalg.pinv(design) @ (design @ difference)
    share: Tensor = (difference - inside).norm() / difference.norm()
    return share.item()


@pytest.mark.parametrize("alpha", ALPHAS)
def test_limit_interpolates_to_machine_precision(alpha: float) -> None:
    design, targets, _ = dense_problem()
    assert (design @ limit(alpha) - targets).norm().item() < 1e-6


def test_limit_changes_the_mirror_derivative_within_the_row_space_as_the_step_shrinks() -> None:
    start = torch.full((COLUMNS,), 0.1, dtype=torch.float64)
    large, small = (share_outside_row_space(5.0, lr, start) for lr in (0.01, 0.005))
    assert small < 0.01
    assert large / small == pytest.approx(2.0, rel=0.2)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_limit_is_the_interpolator_nearest_in_bregman_divergence(alpha: float) -> None:
    design, targets, _ = dense_problem()
    expected = mirror_interpolator(design, targets, alpha)
    assert (limit(alpha) - expected).norm() / expected.norm() < 0.02


def test_limit_on_a_diagonal_design_solves_the_determined_entries_and_leaves_the_others() -> None:
    scales = torch.tensor([1.0, 0.5, -2.0], dtype=torch.float64)
    design = torch.hstack([scales.diag(), torch.zeros(3, 2, dtype=torch.float64)])
    targets = torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64)
    start = torch.tensor([0.1, -0.2, 0.3, 0.4, 0.0], dtype=torch.float64)
    x = train(design, targets, alpha=5.0, lr=0.05, start=start)
    assert (x[:3] - targets / scales).abs().max().item() < 1e-6
    assert torch.equal(x[3:], start[3:])
    difference = mirror_derivative(x, 5.0) - mirror_derivative(start, 5.0)
    assert torch.equal(difference[3:], torch.zeros(2, dtype=torch.float64))


def test_limit_at_alpha_zero_is_the_least_l2_interpolator() -> None:
    design, targets, _ = dense_problem()
    expected = torch.linalg.pinv(design) @ targets
    torch.testing.assert_close(limit(0.0), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(mirror_interpolator(design, targets, 0.0), expected)


def test_limit_moves_from_least_l2_toward_least_l1_as_alpha_grows() -> None:
    design, targets, _ = dense_problem()
    sparse = least_l1(design, targets)
    for solve in (lambda a: mirror_interpolator(design, targets, a), limit):
        distances = [(solve(alpha) - sparse).norm().item() for alpha in ALPHAS]
        assert distances == sorted(distances, reverse=True)
        norms = [solve(alpha).abs().sum().item() for alpha in ALPHAS]
        assert norms == sorted(norms, reverse=True)
    # R(x) is |x| times a logarithm of alpha|x|, so the limit approaches least L1 only as 1/log.
    at_large_alpha = mirror_interpolator(design, targets, 1e8)
    assert at_large_alpha.abs().sum() < 1.02 * sparse.abs().sum()
    assert (at_large_alpha - sparse).norm() < 0.2 * (limit(0.0) - sparse).norm()


def test_ham_recovers_a_sparse_truth_better_than_gradient_descent() -> None:
    _, _, truth = dense_problem()
    gradient_descent = (limit(0.0) - truth).norm()
    ham = (limit(50.0, lr=0.002) - truth).norm()
    assert ham < 0.9 * gradient_descent


def test_ham_converges_at_least_as_fast_as_gradient_descent() -> None:
    design, targets, _ = dense_problem()
    losses = []
    for alpha in (0.0, 2.0, 5.0):
        x = nn.Parameter(torch.full((COLUMNS,), 0.1, dtype=torch.float64))
        optimizer = HAM(SGD([x], lr=0.01), alpha, 0.0, min_dims=1)
        for _ in range(200):
            optimizer.zero_grad()
            (design @ x - targets).square().mean().backward()
            optimizer.step()
        losses.append((design @ x - targets).square().mean().item())
    assert losses == sorted(losses, reverse=True)
