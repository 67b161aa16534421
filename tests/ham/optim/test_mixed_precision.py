"""HAM under GradScaler, under autocast and with weights of low precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.amp import GradScaler
from torch.optim import SGD, Optimizer

from ham.optim import HAM
from tests.ham.optim.toy_training import (
    INPUTS,
    TARGETS,
    loss_of,
    small_model,
    take_steps,
    weights,
)

ALPHA, BETA = 5.0, 1e-2


def amp_step(
    optimizer: Optimizer, model: nn.Module, scaler: GradScaler, factor: float = 1.0
) -> None:
    optimizer.zero_grad()
    scaler.scale(factor * loss_of(model)).backward()
    scaler.step(optimizer)
    scaler.update()


@pytest.mark.parametrize("fused", [False, True])
def test_ham_under_gradscaler_does_not_depend_on_the_scale(fused: bool) -> None:
    results = []
    for scale in (1.0, 65536.0):
        model = small_model()
        optimizer = HAM(SGD(model.parameters(), lr=0.1, momentum=0.9, fused=fused), ALPHA, BETA)
        scaler = GradScaler("cpu", init_scale=scale)
        for _ in range(4):
            amp_step(optimizer, model, scaler)
        results.append(weights(model))
    assert torch.equal(*results)


@pytest.mark.parametrize("fused", [False, True])
def test_ham_skips_an_overflow_step_and_its_hooks(fused: bool) -> None:
    model = small_model()
    optimizer = HAM(SGD(model.parameters(), lr=0.1, fused=fused), ALPHA, BETA)
    calls = []
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    scaler = GradScaler("cpu", init_scale=2.0**10)
    for step in range(4):
        before = weights(model)
        amp_step(optimizer, model, scaler, factor=3e38 if step == 1 else 1.0)
        assert torch.equal(weights(model), before) == (step == 1)
    assert calls == ["before", "after"] * 3


def test_ham_under_autocast_trains_bfloat16_activations() -> None:
    model = small_model()
    optimizer = HAM(SGD(model.parameters(), lr=0.1), ALPHA, BETA)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = (model(INPUTS) - TARGETS).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_ham_trains_low_precision_weights_near_the_float32_run(dtype: torch.dtype) -> None:
    exact, rounded = small_model(), small_model().to(dtype)
    for model in (exact, rounded):
        take_steps(model, HAM(SGD(model.parameters(), lr=0.1), ALPHA, BETA), 5)
    error = (weights(rounded).float() - weights(exact)).abs().max().item()
    # Base and HAM round once each per step: at most ten half units of the last place.
    assert error <= 10 * torch.finfo(dtype).eps
