"""HAM with accumulation, clipping, frozen weights, masks, torch.compile and DDP."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import SGD

from ham.optim import HAM
from ham.optim.formula import hyperbolic_step_
from tests.ham.gradients import grad_of
from tests.ham.optim.toy_training import (
    INPUTS,
    TARGETS,
    linear,
    loss_of,
    small_model,
    take_steps,
    weights,
)
from tests.ham.two_processes import in_two_processes

ALPHA, BETA = 5.0, 1e-2


def test_ham_after_accumulation_equals_one_large_batch() -> None:
    whole, halves = small_model(), small_model()
    take_steps(whole, HAM(SGD(whole.parameters(), lr=0.1), ALPHA, BETA), 1)
    optimizer = HAM(SGD(halves.parameters(), lr=0.1), ALPHA, BETA)
    for part in (slice(0, 8), slice(8, 16)):
        ((halves(INPUTS[part]) - TARGETS[part]).square().mean() / 2).backward()
    optimizer.step()
    torch.testing.assert_close(weights(whole), weights(halves))


def test_ham_uses_the_clipped_gradient() -> None:
    model = small_model()
    optimizer = HAM(SGD(model.parameters(), lr=0.1), ALPHA, BETA)
    loss_of(model).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.01)
    updated = linear(model, 0).weight
    weight, grad = updated.detach().clone(), grad_of(updated).clone()
    optimizer.step()
    weight -= 0.1 * grad
    hyperbolic_step_(weight, grad, lr=0.1, alpha=ALPHA, beta=BETA)
    torch.testing.assert_close(updated.detach(), weight, rtol=0, atol=0)


def test_ham_leaves_frozen_and_unused_parameters() -> None:
    model = small_model()
    linear(model, 0).weight.requires_grad_(False)
    unused = nn.Parameter(torch.ones(2, 2))
    before = linear(model, 0).weight.clone()
    take_steps(model, HAM(SGD([*model.parameters(), unused], lr=0.1), ALPHA, BETA), 2)
    assert torch.equal(linear(model, 0).weight, before)
    assert torch.equal(unused, torch.ones(2, 2))


def test_ham_keeps_masked_weights_at_zero() -> None:
    model = small_model()
    mask = torch.rand(8, 4, generator=torch.Generator().manual_seed(0)) > 0.5
    weight = linear(model, 0).weight
    with torch.no_grad():
        weight.mul_(mask)
    weight.register_hook(lambda grad: grad * mask)
    base = SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    take_steps(model, HAM(base, ALPHA, BETA), 5)
    assert torch.equal(weight != 0, mask)


def test_ham_step_can_be_compiled() -> None:
    plain, compiled = small_model(), small_model()
    optimizer = HAM(SGD(compiled.parameters(), lr=0.1, momentum=0.9), ALPHA, BETA)
    step = torch.compile(lambda: optimizer.step())
    take_steps(plain, HAM(SGD(plain.parameters(), lr=0.1, momentum=0.9), ALPHA, BETA), 3)
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(compiled).backward()
        step()
    torch.testing.assert_close(weights(compiled), weights(plain))


def train_in_ddp(rank: int, store: str) -> Tensor:
    """Train one of two replicas, each on its half of the batch."""
    torch.distributed.init_process_group("gloo", f"file://{store}", rank=rank, world_size=2)
    try:
        model = small_model()
        parallel = nn.parallel.DistributedDataParallel(model)
        optimizer = HAM(SGD(model.parameters(), lr=0.1, momentum=0.9), ALPHA, BETA)
        half = slice(8 * rank, 8 * rank + 8)
        for _ in range(3):
            optimizer.zero_grad()
            (parallel(INPUTS[half]) - TARGETS[half]).square().mean().backward()
            optimizer.step()
        return weights(model)
    finally:
        torch.distributed.destroy_process_group()


def test_ham_under_ddp_equals_one_process_on_the_whole_batch(tmp_path: Path) -> None:
    first, second = in_two_processes(train_in_ddp, tmp_path)
    assert torch.equal(first, second)
    model = small_model()
    take_steps(model, HAM(SGD(model.parameters(), lr=0.1, momentum=0.9), ALPHA, BETA), 3)
    torch.testing.assert_close(first, weights(model), rtol=1e-4, atol=1e-6)
