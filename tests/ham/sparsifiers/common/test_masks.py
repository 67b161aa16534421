"""Masks hold weights at exactly zero and survive packing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ham.errors import InvalidConfig
from ham.sparsifiers.common import MaskSet, prunable_weights
from ham.sparsifiers.common.optimizer_state import zero_optimizer_state
from ham.sparsifiers.common.prunable import prunable_layers
from ham.sparsifiers.common.report import LayerSparsity, SparsityReport, measure_sparsity


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(20, 4)
    )


def random_masks(model: nn.Module) -> MaskSet:
    masks = MaskSet(prunable_weights(model))
    for name, weight in masks.weights.items():
        masks.set(name, torch.rand(weight.shape) < 0.3)
    return masks


def test_prunable_are_weights_of_convolutions_and_linear_layers_only(model: nn.Module) -> None:
    assert list(prunable_weights(model)) == ["0.weight", "4.weight"]


def test_prunable_counts_a_shared_weight_once() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    assert list(prunable_layers(nn.Sequential(first, second))) == ["0"]


def test_model_without_prunable_layer_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="convolution or a linear layer"):
        prunable_weights(nn.BatchNorm2d(3))


def test_apply_zeroes_dropped_weights_and_leaves_kept_ones(model: nn.Module) -> None:
    masks = random_masks(model)
    before = {name: weight.detach().clone() for name, weight in masks.weights.items()}
    masks.apply_()
    for name, weight in masks.weights.items():
        assert torch.equal(weight, torch.where(masks[name], before[name], 0.0))


def test_apply_to_gradients_skips_weights_without_gradient(model: nn.Module) -> None:
    masks = random_masks(model)
    weight = masks.weights["4.weight"]
    weight.grad = torch.ones_like(weight)
    masks.apply_to_gradients_()
    assert torch.equal(weight.grad, masks["4.weight"].float())
    assert masks.weights["0.weight"].grad is None


def test_masks_survive_a_checkpoint_of_one_bit_per_weight(model: nn.Module) -> None:
    masks = random_masks(model)
    state = masks.state_dict()
    assert state["kept"]["0.weight"].numel() == -(-masks.weights["0.weight"].numel() // 8)
    restored = MaskSet(prunable_weights(model))
    restored.load_state_dict(state)
    assert all(torch.equal(restored[name], masks[name]) for name in masks)
    assert restored.kept() == masks.kept()


def test_exploration_counts_every_weight_that_was_ever_kept() -> None:
    masks = MaskSet({"a": torch.zeros(4)})
    masks.set("a", torch.tensor([True, False, False, False]))
    masks.start_exploration()
    assert masks.explored() == 0.25
    masks.set("a", torch.tensor([False, True, False, False]))
    masks.set("a", torch.tensor([True, False, False, False]))
    assert masks.explored() == 0.5
    restored = MaskSet({"a": torch.zeros(4)})
    restored.load_state_dict(masks.state_dict())
    assert restored.explored() == 0.5


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 15), st.booleans()), max_size=8))
def test_every_saved_state_holds_the_masks_of_its_moment(
    changes: list[tuple[str, int, bool]],
) -> None:
    weights = {"a": torch.zeros(4), "b": torch.zeros(4)}
    masks, states, expected = MaskSet(weights), [], []
    for name, bits, explores in changes:
        if explores:
            masks.start_exploration()
        masks.set(name, torch.tensor([bool(bits >> i & 1) for i in range(4)]))
        states.append(masks.state_dict())
        explored = masks.explored() if states[-1]["explored"] else None
        expected.append(({name: masks[name] for name in masks}, explored))
    for state, (kept, explored) in zip(states, expected, strict=True):
        copy = MaskSet(weights)
        copy.load_state_dict(state)
        assert all(torch.equal(copy[name], kept[name]) for name in kept)
        assert explored is None or copy.explored() == explored


@pytest.mark.parametrize("optimizer_name", ["SGD", "AdamW", "RMSprop", "Adagrad", "NAdam"])
def test_reset_zeroes_every_optimizer_state_of_the_weights_shape(optimizer_name: str) -> None:
    weight = nn.Parameter(torch.randn(4, 3))
    kwargs = {"momentum": 0.9} if optimizer_name in ("SGD", "RMSprop") else {}
    optimizer = getattr(torch.optim, optimizer_name)([weight], lr=0.1, **kwargs)
    weight.grad = torch.randn(4, 3)
    optimizer.step()
    before = {key: value.clone() for key, value in optimizer.state[weight].items()}
    where = torch.rand(4, 3) < 0.5
    zero_optimizer_state(optimizer, weight, where)
    tested = 0
    for key, value in optimizer.state[weight].items():
        if value.shape == weight.shape:
            tested += 1
            assert torch.equal(value, before[key].masked_fill(where, 0))
        else:
            assert torch.equal(value, before[key])
    assert tested >= 1


def test_report_counts_zeros_and_kept_weights_apart() -> None:
    weights = {"a": torch.tensor([1.0, 0.0, 0.0, 0.0]), "b": torch.tensor([0.0, 2.0])}
    report = measure_sparsity(0.5, weights, {"a": 2, "b": 1})
    assert report == SparsityReport(
        0.5, (LayerSparsity("a", 4, 2, 1), LayerSparsity("b", 2, 1, 1))
    )
    assert (report.prunable, report.kept, report.nonzeros) == (6, 3, 2)
    assert report.realised == pytest.approx(4 / 6)
    assert report.to_json()["layers"][0]["sparsity"] == 0.75
