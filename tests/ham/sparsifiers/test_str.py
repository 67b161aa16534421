"""STR: the soft threshold, its decay over a training, and mask freezing."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

import ham
from ham.errors import InvalidConfig
from ham.sparsifiers.common import prunable_weights
from ham.sparsifiers.common.prunable import prunable_layers, stored_tensors
from ham.sparsifiers.common.reparametrized import gradient_flow_time, parametrization_of
from ham.sparsifiers.common.topk import kept_count
from ham.sparsifiers.str import STR, SoftThreshold
from ham.testing.sparsifier_contract import TOTAL_STEPS, Run, batch, small_model, start
from tests.ham.gradients import grad_of

ACTIVE_THRESHOLD = partial(STR, threshold=-4.0, threshold_decay=1e-3, stop_at_target=False)


def sigmoid(s: float) -> float:
    return 1 / (1 + math.exp(-s))


def thresholds(model: nn.Module) -> list[torch.Tensor]:
    return [parametrization_of(layer).threshold for layer in prunable_layers(model).values()]


def stored(model: nn.Module) -> dict[str, np.ndarray]:
    return {
        f"{n}.weight": stored_tensors(layer)[0].detach().numpy().copy()
        for n, layer in prunable_layers(model).items()
    }


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=20), st.floats(-30, 3))
def test_weight_is_zero_below_the_threshold_and_shrunk_by_it_above(
    values: list[float], s: float
) -> None:
    weight = torch.tensor([values], dtype=torch.float64)
    shrunk = SoftThreshold(weight, s)(weight).detach().numpy()[0]
    expected = [math.copysign(max(abs(w) - sigmoid(s), 0), w) for w in values]
    np.testing.assert_allclose(shrunk, expected, atol=1e-12)


def test_gradients_are_those_of_the_paper() -> None:
    torch.manual_seed(0)
    weight = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    soft = SoftThreshold(weight, -1.0)
    assert torch.autograd.gradcheck(soft, (weight,))
    upstream = torch.randn(3, 4, dtype=torch.float64)
    (soft(weight) * upstream).sum().backward()
    alive = weight.detach().abs() > sigmoid(-1.0)
    assert torch.equal(grad_of(weight), upstream * alive)
    slope = sigmoid(-1.0) * (1 - sigmoid(-1.0))
    expected = -slope * (upstream * weight.detach().sign() * alive).sum()
    torch.testing.assert_close(grad_of(soft.threshold).squeeze(), expected)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=2, max_size=4),
    st.floats(-12, 2),
    st.floats(0, 4),
    st.integers(0, 100),
)
def test_realised_sparsity_grows_with_the_threshold(
    widths: list[int], low: float, more: float, seed: int
) -> None:
    sparsities = []
    for threshold in (low, low + more):
        torch.manual_seed(seed)
        layers = [nn.Linear(*pair) for pair in pairwise(widths)]
        sparsifier = STR(0.5, total_steps=10, threshold=threshold, threshold_decay=0.0)
        sparsifier.attach(nn.Sequential(*layers))
        zeros = sum(int((x.weight.detach().abs() <= 0).sum()) for x in layers)
        assert zeros == sparsifier.emerged_zeros()
        sparsities.append(sparsifier.report().realised)
    assert sparsities[0] <= sparsities[1]


def test_threshold_without_gradient_follows_momentum_on_its_decay() -> None:
    run = start(partial(STR, threshold=-200.0, threshold_decay=0.05), 0.9)
    s, momentum, values = -200.0, 0.0, [-200.0]
    for step in range(1, 16):
        run.train(step, step)
        momentum = 0.9 * momentum + 0.05 * s
        s -= 0.05 * momentum
        if s > -100:  # sigmoid(s) is no longer zero in single precision
            break
        assert [t.item() for t in thresholds(run.model)] == pytest.approx([s] * 4, rel=1e-5)
        values.append(s)
    assert len(values) > 5
    assert values == sorted(values)


@pytest.mark.parametrize("threshold", [-3200.0, -200.0, -20.0])
def test_default_decay_moves_thresholds_to_the_published_value_in_time(threshold: float) -> None:
    model = nn.Linear(2, 2)
    sparsifier, groups = ham.sparsify(
        model, "str", sparsity=0.9, total_steps=50_000, threshold=threshold
    )
    sparsifier.bind(torch.optim.SGD(groups, lr=0.1, momentum=0.9))
    s, velocity, decay = threshold, 0.0, groups[1]["weight_decay"]
    for _ in range(16_000):  # 32 % of the steps
        velocity = 0.9 * velocity + decay * s
        s -= 0.1 * velocity
    assert s == pytest.approx(-2, rel=0.05)


def test_default_decay_is_the_published_one_for_the_published_training() -> None:
    _, groups = ham.sparsify(
        nn.Linear(2, 2), "str", sparsity=0.9, total_steps=10, preset="imagenet"
    )
    sparsifier = STR(0.9, total_steps=500_500, threshold=-3200.0)
    own = sparsifier.attach(nn.Linear(2, 2))
    sparsifier.bind(torch.optim.SGD(own, lr=0.256, momentum=0.875))
    assert own[1]["weight_decay"] == pytest.approx(2.251757813e-5, rel=0.02)
    assert gradient_flow_time(own[1], 500_500) == pytest.approx(0.256 * 500_500 * 8)
    assert "weight_decay" not in groups[1]  # set once the optimizer is known


@pytest.mark.parametrize("on_thresholds", [False, True])
def test_ham_moves_thresholds_only_when_asked(on_thresholds: bool) -> None:
    model = small_model()
    sparsifier, groups = ham.sparsify(
        model,
        "str",
        sparsity=0.9,
        total_steps=60,
        threshold=-200.0,
        threshold_decay=0.0,
        ham_on_thresholds=on_thresholds,
    )
    optimizer = ham.HAM(torch.optim.SGD(groups, lr=0.05), alpha=10.0, beta=0.1)
    sparsifier.bind(optimizer)
    Run(model, sparsifier, optimizer).train(1, 1)
    expected = -200 * math.exp(-0.05 * 0.1) if on_thresholds else -200.0
    assert [t.item() for t in thresholds(model)] == pytest.approx([expected] * 4, rel=1e-6)


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.6, 0.9])
def test_threshold_decay_stops_at_the_target(sparsity: float) -> None:
    run = start(partial(STR, threshold=-8.0, threshold_decay=0.3, freeze_at=1.0), sparsity)
    sparsifier, group = run.sparsifier, run.optimizer.param_groups[1]
    assert isinstance(sparsifier, STR)
    for step in range(1, TOTAL_STEPS):
        run.train(step, step)
        reached = sparsifier.report().nonzeros <= kept_count(1008, sparsity)
        assert group["weight_decay"] == (0.0 if reached else 0.3)
    assert sparsifier.report().realised == pytest.approx(sparsity, abs=0.1)


def test_weight_below_its_threshold_has_no_gradient() -> None:
    run = start(ACTIVE_THRESHOLD, 0.9)
    run.train(1, 1)
    for layer in prunable_layers(run.model).values():
        weight = stored_tensors(layer)[0]
        run.optimizer.zero_grad()
        below = layer.weight.detach() == 0
        assert 0 < int(below.sum())
    images, labels = batch(2)
    cross_entropy(run.model(images), labels).backward()
    for layer in prunable_layers(run.model).values():
        weight = stored_tensors(layer)[0]
        assert weight.grad is not None
        assert not weight.grad[layer.weight.detach() == 0].any()


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9, 0.99])
def test_mask_freezing_keeps_the_largest_margins_and_their_shrunken_weights(
    sparsity: float,
) -> None:
    run = start(ACTIVE_THRESHOLD, sparsity)
    run.train(1, 20)
    sparsifier = run.sparsifier
    assert isinstance(sparsifier, STR)
    weights = stored(run.model)
    limits = dict(zip(weights, [sigmoid(t.item()) for t in thresholds(run.model)], strict=True))
    margins = {name: abs(weights[name]) - np.float32(limits[name]) for name in weights}
    sparsifier.freeze_masks()
    together = np.sort(np.concatenate([m.ravel() for m in margins.values()]))[::-1]
    cut = together[kept_count(together.size, sparsity) - 1]
    emerged = np.mean(together <= 0)
    assert sparsifier.emerged == pytest.approx(emerged, abs=2 / together.size)
    for name, value in prunable_weights(run.model).items():
        # Too few magnitudes exceed their threshold: all thresholds are lowered until enough do.
        shrunken = np.maximum(margins[name] - min(cut, 0), 0)
        shrunken = np.sign(weights[name]) * np.minimum(shrunken, abs(weights[name]))
        expected = np.where(margins[name] >= cut - 1e-7, shrunken, 0)
        np.testing.assert_allclose(value.detach().numpy(), expected, atol=1e-6)


def test_thresholds_that_drop_every_weight_are_lowered() -> None:
    run = start(partial(STR, threshold=2.0, threshold_decay=0.0, freeze_at=0.5), 0.5)
    run.train(1, 29)
    assert run.sparsifier.report().realised == 1.0
    run.train(30, TOTAL_STEPS)
    report = run.sparsifier.report()
    assert report.emerged == 1.0
    assert report.nonzeros > 0.99 * report.kept


def test_wrong_options_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="or give threshold_decay"):
        STR(0.9, total_steps=10, threshold=-2.0)
    with pytest.raises(InvalidConfig, match="threshold_decay"):
        STR(0.9, total_steps=10, threshold_decay=-1.0)
