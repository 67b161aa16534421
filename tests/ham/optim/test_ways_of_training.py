"""HAM is right in the ways people train: AMP, accumulation, every base, odd gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import SGD, Adam, AdamW, Optimizer

from ham.errors import DivergedRun
from ham.optim import HAM
from ham.optim.formula import hyperbolic_step_
from tests.ham.optim.training import INPUTS, TARGETS, loss_of, small_model, take_steps, weights
from tests.ham.two_processes import in_two_processes

ALPHA, BETA = 5.0, 1e-2

BASES: dict[str, Callable[..., Optimizer]] = {
    "sgd with coupled decay": lambda p: SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "foreach nesterov": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True, foreach=True),
    "fused sgd": lambda p: SGD(p, lr=0.1, momentum=0.9, fused=True),
    "maximizing sgd": lambda p: SGD(p, lr=0.1, maximize=True),
    "maximizing foreach adamw": lambda p: AdamW(p, lr=0.01, maximize=True, foreach=True),
    "adam with coupled decay": lambda p: Adam(p, lr=0.01, weight_decay=0.1),
    "amsgrad": lambda p: Adam(p, lr=0.01, amsgrad=True),
    "adamw": lambda p: AdamW(p, lr=0.01),
    "fused adamw": lambda p: AdamW(p, lr=0.01, fused=True),
    "tensor learning rate": lambda p: AdamW(p, lr=torch.tensor(0.01)),
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=0.1),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
    "asgd": lambda p: torch.optim.ASGD(p, lr=0.01),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, centered=True, momentum=0.5),
    "foreach rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, weight_decay=0.1, foreach=True),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
}


@pytest.mark.parametrize("path", ["auto", "fused_base"])
@pytest.mark.parametrize("name", BASES)
def test_ham_multiplies_by_the_raw_gradient_after_every_base(name, path):
    model, bare = small_model(), small_model()
    optimizer = HAM(BASES[name](model.parameters()), ALPHA, BETA, path=path)
    base = BASES[name](bare.parameters())
    for _ in range(3):
        take_steps(model, optimizer, 1)
        base.zero_grad()
        loss_of(bare).backward()
        raw = [param.grad.clone() for param in bare.parameters()]
        base.step()
        group = base.param_groups[0]
        for param, grad in zip(bare.parameters(), raw, strict=True):
            if param.dim() >= 2:
                sign = -1 if group.get("maximize") else 1
                hyperbolic_step_(param.data, sign * grad, lr=group["lr"], alpha=ALPHA, beta=BETA)
    torch.testing.assert_close(weights(model), weights(bare), rtol=1e-4, atol=1e-5)


def amp_step(
    optimizer: Optimizer, model: nn.Module, scaler: GradScaler, factor: float = 1.0
) -> None:
    optimizer.zero_grad()
    scaler.scale(factor * loss_of(model)).backward()
    scaler.step(optimizer)
    scaler.update()


@pytest.mark.parametrize("fused", [False, True])
def test_ham_under_gradscaler_does_not_depend_on_the_scale(fused):
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
def test_ham_skips_an_overflow_step_and_its_hooks(fused):
    model = small_model()
    optimizer = HAM(SGD(model.parameters(), lr=0.1, fused=fused), ALPHA, BETA)
    ticks = []
    optimizer.register_step_pre_hook(lambda *_: ticks.append("before"))
    optimizer.register_step_post_hook(lambda *_: ticks.append("after"))
    scaler = GradScaler("cpu", init_scale=2.0**10)
    for step in range(4):
        before = weights(model)
        amp_step(optimizer, model, scaler, factor=3e38 if step == 1 else 1.0)
        assert torch.equal(weights(model), before) == (step == 1)
    assert ticks == ["before", "after"] * 3


def test_ham_under_autocast_trains_bfloat16_activations():
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
def test_ham_trains_low_precision_weights_near_the_float32_run(dtype):
    exact, rounded = small_model(), small_model().to(dtype)
    for model in (exact, rounded):
        take_steps(model, HAM(SGD(model.parameters(), lr=0.1), ALPHA, BETA), 5)
    error = (weights(rounded).float() - weights(exact)).abs().max().item()
    # Base and HAM round once each per step: at most ten half units of the last place.
    assert error <= 10 * torch.finfo(dtype).eps


def test_ham_after_accumulation_equals_one_large_batch():
    whole, halves = small_model(), small_model()
    take_steps(whole, HAM(SGD(whole.parameters(), lr=0.1), ALPHA, BETA), 1)
    optimizer = HAM(SGD(halves.parameters(), lr=0.1), ALPHA, BETA)
    for part in (slice(0, 8), slice(8, 16)):
        ((halves(INPUTS[part]) - TARGETS[part]).square().mean() / 2).backward()
    optimizer.step()
    torch.testing.assert_close(weights(whole), weights(halves))


def test_ham_uses_the_clipped_gradient():
    model = small_model()
    optimizer = HAM(SGD(model.parameters(), lr=0.1), ALPHA, BETA)
    loss_of(model).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.01)
    weight, grad = model[0].weight.detach().clone(), model[0].weight.grad.clone()
    optimizer.step()
    weight -= 0.1 * grad
    hyperbolic_step_(weight, grad, lr=0.1, alpha=ALPHA, beta=BETA)
    torch.testing.assert_close(model[0].weight.detach(), weight, rtol=0, atol=0)


def test_ham_leaves_frozen_and_unused_parameters():
    model = small_model()
    model[0].weight.requires_grad_(False)
    unused = nn.Parameter(torch.ones(2, 2))
    before = model[0].weight.clone()
    take_steps(model, HAM(SGD([*model.parameters(), unused], lr=0.1), ALPHA, BETA), 2)
    assert torch.equal(model[0].weight, before)
    assert torch.equal(unused, torch.ones(2, 2))


def test_ham_keeps_masked_weights_at_zero():
    model = small_model()
    mask = torch.rand(8, 4, generator=torch.Generator().manual_seed(0)) > 0.5
    weight = model[0].weight
    with torch.no_grad():
        weight.mul_(mask)
    weight.register_hook(lambda grad: grad * mask)
    base = SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    take_steps(model, HAM(base, ALPHA, BETA), 5)
    assert torch.equal(weight != 0, mask)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("path", ["reference", "foreach", "fused", "fused_base"])
def test_ham_tensor_with_non_finite_gradient_sits_the_step_out(path, bad):
    model = small_model()
    optimizer = HAM(AdamW(model.parameters(), lr=0.01), ALPHA, BETA, path=path)
    take_steps(model, optimizer, 1)
    before = [param.detach().clone() for param in model.parameters()]
    state = {key: value.clone() for key, value in optimizer.state[model[0].weight].items()}
    optimizer.zero_grad()
    loss_of(model).backward()
    model[0].weight.grad[0, 0] = bad
    optimizer.step()
    moved = [
        not torch.equal(param, old) for param, old in zip(model.parameters(), before, strict=True)
    ]
    assert moved == [False, True, True, True]
    assert model[0].weight.grad is not None
    for key, value in optimizer.state[model[0].weight].items():
        assert torch.equal(value, state[key])


@pytest.mark.parametrize("path", ["reference", "foreach", "fused", "fused_base"])
def test_ham_raises_on_a_non_finite_gradient_before_anything_moves(path):
    model = small_model()
    base = SGD(model.named_parameters(), lr=0.1)
    optimizer = HAM(base, ALPHA, BETA, nonfinite="raise", path=path)
    loss_of(model).backward()
    model[2].weight.grad[0, 0] = math.nan
    before = weights(model)
    with pytest.raises(DivergedRun, match=r"2\.weight \(2, 8\) is not finite at lr=0.1, alpha=5"):
        optimizer.step()
    assert torch.equal(weights(model), before)


@pytest.mark.parametrize("path", ["reference", "foreach", "fused"])
def test_ham_adds_no_non_finite_value_where_nothing_is_checked(path):
    weight = nn.Parameter(torch.full((1, 3), 3e38))
    optimizer = HAM(SGD([weight], lr=0.1), nonfinite="ignore", path=path)
    weight.grad = torch.tensor([[-1.0, 0.0, math.nan]])
    optimizer.step()
    assert weight.isfinite().tolist() == [[True, True, False]]  # the last one is SGD's doing


def test_ham_step_can_be_compiled():
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


def test_ham_under_ddp_equals_one_process_on_the_whole_batch(tmp_path):
    first, second = in_two_processes(train_in_ddp, tmp_path)
    assert torch.equal(first, second)
    model = small_model()
    take_steps(model, HAM(SGD(model.parameters(), lr=0.1, momentum=0.9), ALPHA, BETA), 3)
    torch.testing.assert_close(first, weights(model), rtol=1e-4, atol=1e-6)
