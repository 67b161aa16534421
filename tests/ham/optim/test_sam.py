from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

from ham.errors import HamError, InvalidConfig
from ham.optim import HAM, SAM
from ham.optim.formula import hyperbolic_step_
from tests.ham.gradients import grad_of
from tests.ham.optim.toy_training import closure_of, linear, loss_of, small_model, weights


def sam_of(net: nn.Module, rho: float = 0.05, **options: Any) -> SAM:
    return SAM(HAM(SGD(net.parameters(), lr=0.1, momentum=0.9), 5.0, 1e-2), rho, **options)


def normalized_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))


def statistics_of(model: nn.Sequential) -> nn.BatchNorm1d:
    """Return the normalization layer of ``normalized_model``."""
    layer = model[1]
    assert isinstance(layer, nn.BatchNorm1d)
    return layer


def sam_steps(model: nn.Module, optimizer: SAM, steps: int) -> None:
    for _ in range(steps):
        optimizer.step(closure_of(model, optimizer))


def test_sam_steps_base_and_ham_with_the_second_gradient() -> None:
    model, by_hand = small_model(), small_model()
    optimizer = SAM(HAM(SGD(model.parameters(), lr=0.1), 5.0, 1e-2), 0.05)
    sam_steps(model, optimizer, 1)

    params = list(by_hand.parameters())
    first = torch.autograd.grad(loss_of(by_hand), params)
    norm = torch.cat([grad.flatten() for grad in first]).norm()
    perturbed = copy.deepcopy(by_hand)
    with torch.no_grad():
        for param, grad in zip(perturbed.parameters(), first, strict=True):
            param.add_(grad, alpha=0.05 / norm.item())
    second = torch.autograd.grad(loss_of(perturbed), list(perturbed.parameters()))
    for param, grad in zip(params, second, strict=True):
        param.data -= 0.1 * grad
        if param.dim() >= 2:
            hyperbolic_step_(param.data, grad, lr=0.1, alpha=5.0, beta=1e-2)
    torch.testing.assert_close(weights(model), weights(by_hand), rtol=1e-5, atol=1e-6)


def test_sam_restores_the_weights_bit_by_bit_before_the_base_steps() -> None:
    model = small_model()
    optimizer = sam_of(model)
    before, seen = weights(model), []
    optimizer.base.register_step_pre_hook(lambda *_: seen.append(weights(model)))
    sam_steps(model, optimizer, 1)
    assert torch.equal(seen[0], before)


def test_sam_evaluates_the_second_pass_at_distance_rho() -> None:
    model = small_model()
    optimizer = sam_of(model, rho=0.3)
    closure, visited = closure_of(model, optimizer), []

    def record_and_evaluate() -> Any:
        visited.append(weights(model))
        return closure()

    optimizer.step(record_and_evaluate)
    assert (visited[1] - visited[0]).norm().item() == pytest.approx(0.3, rel=1e-5)


def test_sam_with_zero_radius_is_the_base_bit_by_bit() -> None:
    one, two = small_model(), small_model()
    sam, ham = sam_of(one, rho=0.0), sam_of(two).base
    sam_steps(one, sam, 3)
    for _ in range(3):
        ham.step(closure_of(two, ham))
    assert torch.equal(weights(one), weights(two))


def test_sam_returns_the_loss_of_the_first_pass_and_runs_hooks_once() -> None:
    model = small_model()
    optimizer, calls = sam_of(model), []
    optimizer.register_step_post_hook(lambda *_: calls.append("sam"))
    optimizer.base.register_step_post_hook(lambda *_: calls.append("ham"))
    expected = loss_of(model).item()
    assert optimizer.step(closure_of(model, optimizer)).item() == expected
    assert calls == ["ham", "sam"]


def test_sam_clears_gradients_between_the_passes() -> None:
    one, two = small_model(), small_model()
    with_zero_grad, without = sam_of(one), sam_of(two)
    sam_steps(one, with_zero_grad, 1)

    def backward_only() -> Tensor:
        loss = loss_of(two)
        loss.backward()
        return loss

    without.step(backward_only)
    assert torch.equal(weights(one), weights(two))


def test_sam_updates_batchnorm_statistics_in_the_first_pass_only() -> None:
    model = normalized_model()
    once = copy.deepcopy(model)
    loss_of(once)
    sam_steps(model, sam_of(model, model=model), 1)
    layer = statistics_of(model)
    found, expected = layer.state_dict(), statistics_of(once).state_dict()
    assert found["num_batches_tracked"] == 1
    assert torch.equal(found["running_mean"], expected["running_mean"])
    assert torch.equal(found["running_var"], expected["running_var"])
    assert layer.track_running_stats


def test_sam_normalizes_by_the_batch_in_the_second_pass() -> None:
    model = normalized_model()
    other = copy.deepcopy(model)
    sam_steps(model, sam_of(model, model=model), 1)
    sam_steps(other, sam_of(other), 1)
    assert torch.equal(weights(model), weights(other))
    assert statistics_of(other).num_batches_tracked == 2


def test_sam_does_not_perturb_masked_weights() -> None:
    model = small_model()
    layer = linear(model, 0)
    mask = torch.rand(8, 4, generator=torch.Generator().manual_seed(0)) > 0.5
    with torch.no_grad():
        layer.weight.mul_(mask)
        layer.bias.zero_()
    optimizer = sam_of(model, rho=0.3)
    closure, visited = closure_of(model, optimizer), []

    def record_and_evaluate() -> Any:
        visited.append((layer.weight.detach().clone(), layer.bias.detach().clone()))
        return closure()

    optimizer.step(record_and_evaluate)
    assert torch.equal(visited[1][0] != 0, mask)
    assert (visited[1][1] != 0).all(), "a bias that starts at zero is no mask"


def test_sam_restores_the_weights_when_the_second_pass_fails() -> None:
    model = small_model()
    optimizer = sam_of(model)
    closure, before = closure_of(model, optimizer), weights(model)
    calls: list[None] = []

    def fails_at_second() -> Any:
        calls.append(None)
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        return closure()

    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step(fails_at_second)
    assert torch.equal(weights(model), before)


def test_sam_does_not_perturb_by_a_non_finite_gradient() -> None:
    model = small_model()
    optimizer = sam_of(model)
    closure, visited = closure_of(model, optimizer), []

    def poisoned() -> Any:
        visited.append(weights(model))
        loss = closure()
        grad_of(linear(model, 0).weight)[0, 0] = torch.nan
        return loss

    optimizer.step(poisoned)
    assert torch.equal(*visited)
    assert weights(model).isfinite().all()


def test_sam_resumes_bit_equal() -> None:
    one, two = small_model(), small_model(seed=1)
    optimizer = SAM(HAM(AdamW(one.parameters(), lr=0.01), 5.0, 1e-2), 0.1)
    sam_steps(one, optimizer, 2)
    resumed = SAM(HAM(AdamW(two.parameters(), lr=0.5)))
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    two.load_state_dict(one.state_dict())
    for model, each in ((one, optimizer), (two, resumed)):
        sam_steps(model, each, 3)
    assert torch.equal(weights(one), weights(two))
    assert resumed.param_groups[0]["sam_rho"] == 0.1


def test_sam_shares_groups_with_the_innermost_base_and_its_scheduler() -> None:
    model = small_model()
    optimizer = sam_of(model)
    schedule = CosineAnnealingLR(optimizer, 4)
    sam_steps(model, optimizer, 1)
    schedule.step()
    assert isinstance(optimizer.base, HAM)
    innermost = optimizer.base.base
    assert optimizer.param_groups is innermost.param_groups
    assert innermost.param_groups[0]["lr"] < 0.1


def test_sam_without_closure_raises_with_the_call_to_make() -> None:
    with pytest.raises(InvalidConfig, match=r"step\(closure\)"):
        sam_of(small_model()).step()


@pytest.mark.parametrize("rho", [-0.1, float("nan"), "0.05"])
def test_sam_refuses_a_radius_that_breaks_the_rule(rho: Any) -> None:
    with pytest.raises(InvalidConfig, match=r"sam_rho.*finite and >= 0"):
        sam_of(small_model(), rho=rho)


def test_sam_refuses_gradscaler_with_the_reason() -> None:
    model = small_model()
    optimizer, scaler = sam_of(model), GradScaler("cpu")
    scaler.scale(loss_of(model)).backward()
    with pytest.raises(HamError, match="only one of its two gradients"):
        scaler.step(optimizer, closure_of(model, optimizer))
    sam_steps(model, optimizer, 1)
