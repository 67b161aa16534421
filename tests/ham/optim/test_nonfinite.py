"""The policies for gradients that hold NaN or infinity."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

from ham.errors import DivergedRun
from ham.optim import HAM
from tests.ham.gradients import grad_of
from tests.ham.optim.toy_training import (
    HamPath,
    linear,
    loss_of,
    small_model,
    take_steps,
    weights,
)

ALPHA, BETA = 5.0, 1e-2


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("path", ["reference", "foreach", "fused", "fused_base"])
def test_ham_skips_a_tensor_with_a_non_finite_gradient(path: HamPath, bad: float) -> None:
    model = small_model()
    optimizer = HAM(AdamW(model.parameters(), lr=0.01), ALPHA, BETA, path=path)
    take_steps(model, optimizer, 1)
    before = [param.detach().clone() for param in model.parameters()]
    state = {key: value.clone() for key, value in optimizer.state[linear(model, 0).weight].items()}
    optimizer.zero_grad()
    loss_of(model).backward()
    grad_of(linear(model, 0).weight)[0, 0] = bad
    optimizer.step()
    changed = [
        not torch.equal(param, old) for param, old in zip(model.parameters(), before, strict=True)
    ]
    assert changed == [False, True, True, True]
    assert linear(model, 0).weight.grad is not None
    for key, value in optimizer.state[linear(model, 0).weight].items():
        assert torch.equal(value, state[key])


@pytest.mark.parametrize("path", ["reference", "foreach", "fused", "fused_base"])
def test_ham_raises_on_a_non_finite_gradient_before_any_parameter_changes(path: HamPath) -> None:
    model = small_model()
    base = SGD(model.named_parameters(), lr=0.1)
    optimizer = HAM(base, ALPHA, BETA, nonfinite="raise", path=path)
    loss_of(model).backward()
    grad_of(linear(model, 2).weight)[0, 0] = math.nan
    before = weights(model)
    with pytest.raises(DivergedRun, match=r"2\.weight \(2, 8\) is not finite at lr=0.1, alpha=5"):
        optimizer.step()
    assert torch.equal(weights(model), before)


@pytest.mark.parametrize("path", ["reference", "foreach", "fused"])
def test_ham_adds_no_non_finite_value_without_the_check(path: HamPath) -> None:
    weight = nn.Parameter(torch.full((1, 3), 3e38))
    optimizer = HAM(SGD([weight], lr=0.1), nonfinite="ignore", path=path)
    weight.grad = torch.tensor([[-1.0, 0.0, math.nan]])
    optimizer.step()
    assert weight.isfinite().tolist() == [[True, True, False]]  # SGD makes the last one NaN
