from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from ham.optim import HAM
from tests.ham.gradients import grad_of

# Of native.c: elements of a unit of work, and elements that are checked before they are updated.
CHUNK, WINDOW = 16384, 1 << 20


def test_fused_base_lets_a_base_with_hooks_step_itself() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = HAM(SGD([weight], lr=0.1), path="fused_base")
    calls = []
    optimizer.base.register_step_post_hook(lambda *_: calls.append("base"))
    weight.grad = torch.ones(2, 2)
    optimizer.step()
    assert calls == ["base"]


def test_fused_base_tells_autograd_that_weights_changed() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = HAM(SGD([weight], lr=0.1), path="fused_base")
    loss = weight.square().sum()
    weight.grad = torch.ones(2, 2)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("nonfinite", ["auto", "raise", "ignore"])
def test_fused_base_allocates_no_tensor(nonfinite: Literal["auto", "raise", "ignore"]) -> None:
    params = [nn.Parameter(torch.ones(64, 64)) for _ in range(3)]
    optimizer = HAM(SGD(params, lr=0.1, momentum=0.9), path="fused_base", nonfinite=nonfinite)
    for param in params:
        param.grad = torch.ones(64, 64)
    optimizer.step()
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        optimizer.step()
    allocated = sum(max(event.self_cpu_memory_usage, 0) for event in profile.events())
    assert allocated < 64 * 64


@pytest.mark.parametrize("base", [SGD, AdamW])
@pytest.mark.parametrize("bad", [[0], [2], [1, 3], [0, 1, 2, 3, 4]])
def test_fused_base_skips_exactly_the_tensors_with_a_non_finite_gradient(
    base: Callable[..., Optimizer], bad: list[int]
) -> None:
    lengths = (3, WINDOW - 3, WINDOW + CHUNK + 5, 7, 2)  # windows of one, two and three tensors
    weights = [nn.Parameter(torch.ones(1, length)) for length in lengths]
    optimizer = HAM(base(weights, lr=0.1), path="fused_base")
    for step in range(2):  # the base itself takes the first step
        before = [weight.detach().clone() for weight in weights]
        for weight in weights:
            weight.grad = torch.full_like(weight, 0.01)
        for index in bad if step else ():
            grad_of(weights[index])[0, -1] = math.inf
        optimizer.step()
    changed = [bool((new != old).all()) for new, old in zip(weights, before, strict=True)]
    kept = [torch.equal(new, old) for new, old in zip(weights, before, strict=True)]
    assert kept == [index in bad for index in range(5)]
    assert changed == [index not in bad for index in range(5)]
