"""SNIP, GraSP and SynFlow: scores against independent calculations, the model unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ham.errors import HamError
from ham.sparsifiers.common import MaskedSparsifier, prunable_weights
from ham.sparsifiers.common.scoring import examples_per_class
from ham.sparsifiers.common.topk import kept_count
from ham.sparsifiers.grasp import GraSP, gradient_flow
from ham.sparsifiers.snip import SNIP
from ham.sparsifiers.synflow import SynFlow, synaptic_flow
from ham.testing.sparsifier_contract import small_model

METHODS = [SNIP, GraSP, SynFlow]


def batches(
    shape: tuple[int, ...] = (1, 2, 2), classes: int = 3
) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        yield torch.randn(12, *shape, generator=generator), torch.arange(12) % classes


def two_layers(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 5, bias=False), nn.ReLU(), nn.Linear(5, 3, bias=False))


def mask_of(
    method: type[MaskedSparsifier], model: nn.Module, sparsity: float, **options: Any
) -> dict[str, np.ndarray]:
    """Return the masks of a model that takes 4 inputs, by the names of the weights."""
    sparsifier = method(sparsity, total_steps=1, **options)
    sparsifier.attach(model, batches((4,)))
    return {name: sparsifier.masks[name].numpy() for name in sparsifier.masks}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.99])
def test_total_kept_is_exact(method: type[MaskedSparsifier], sparsity: float) -> None:
    sparsifier = method(sparsity, total_steps=1)
    sparsifier.attach(small_model(), batches())
    report = sparsifier.report()
    assert report.kept == kept_count(report.prunable, sparsity)


@pytest.mark.parametrize("method", METHODS)
def test_scoring_leaves_the_model_and_the_generator_unchanged(
    method: type[MaskedSparsifier],
) -> None:
    model = small_model().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    generator = torch.get_rng_state()
    sparsifier = method(0.9, total_steps=1)
    sparsifier.attach(model, batches())
    for name, value in model.state_dict().items():
        mask = sparsifier.masks[name] if name in sparsifier.masks.weights else 1
        assert torch.equal(value, before[name] * mask)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training
    assert torch.equal(torch.get_rng_state(), generator)


@pytest.mark.parametrize("method", METHODS)
def test_methods_that_read_batches_ask_for_them(method: type[MaskedSparsifier]) -> None:
    with pytest.raises(HamError, match="pass batches to attach"):
        method(0.9, total_steps=1).attach(small_model())


@pytest.mark.parametrize("method", METHODS)
def test_dense_layers_are_not_pruned(method: type[MaskedSparsifier]) -> None:
    sparsifier = method(0.9, total_steps=1, dense_layers=("0.weight",))
    sparsifier.attach(small_model(), batches())
    first, *others = sparsifier.report().layers
    size = sum(layer.size for layer in others)
    assert first.kept == first.size
    assert sum(layer.kept for layer in others) == kept_count(size, 0.9)


def forward_backward(
    w1: np.ndarray, w2: np.ndarray, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients of the mean cross-entropy of relu(x w1') w2', computed by hand."""
    hidden = np.maximum(x @ w1.T, 0)
    logits = hidden @ w2.T
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    delta = (p - np.eye(w2.shape[0])[y]) / len(y)
    return ((delta @ w2) * (hidden > 0)).T @ x, delta.T @ hidden


def global_mask(scores: list[np.ndarray], sparsity: float) -> list[np.ndarray]:
    flat = np.concatenate([score.ravel() for score in scores])
    keep = np.zeros(flat.size, dtype=bool)
    keep[np.argsort(-flat, kind="stable")[: kept_count(flat.size, sparsity)]] = True
    parts = np.split(keep, np.cumsum([score.size for score in scores])[:-1])
    return [part.reshape(score.shape) for part, score in zip(parts, scores, strict=True)]


def test_snip_agrees_with_numpy() -> None:
    model = two_layers()
    w1, w2 = (w.detach().double().numpy() for w in prunable_weights(model).values())
    x, y = (t.numpy() for t in next(batches((4,))))
    g1, g2 = forward_backward(w1, w2, x.astype(np.float64), y)
    expected = global_mask([abs(w1 * g1), abs(w2 * g2)], 0.6)
    for found, wanted in zip(mask_of(SNIP, model, 0.6).values(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_snip_does_not_depend_on_the_scale_of_the_loss() -> None:
    masks = []
    for scale in (1.0, 1000.0):
        sparsifier = SNIP(0.7, total_steps=1)
        model = two_layers()

        def scaled_loss(outputs: Tensor, labels: Tensor, scale: float = scale) -> Tensor:
            return scale * cross_entropy(outputs, labels)

        sparsifier.attach(model, batches((4,)), scaled_loss)
        masks.append([sparsifier.masks[name] for name in sparsifier.masks])
    assert all(torch.equal(*pair) for pair in zip(*masks, strict=True))


def test_synflow_agrees_with_numpy_round_by_round() -> None:
    model = two_layers()
    w1, w2 = (abs(w.detach().double().numpy()) for w in prunable_weights(model).values())
    m1, m2 = np.ones_like(w1, dtype=bool), np.ones_like(w2, dtype=bool)
    for k in range(1, 11):
        a, b = w1 * m1, w2 * m2
        s1 = np.outer(b.sum(0), np.ones(4)) * a
        s2 = np.outer(np.ones(3), a.sum(1)) * b
        scores = [np.where(m1, s1, -1), np.where(m2, s2, -1)]
        m1, m2 = global_mask(scores, 1 - 0.1 ** (k / 10))
    found = mask_of(SynFlow, model, 0.9, rounds=10)
    for mask, wanted in zip(found.values(), (m1, m2), strict=True):
        np.testing.assert_array_equal(mask, wanted)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=3, max_size=6), st.integers(0, 99))
def test_synaptic_flow_into_a_unit_is_the_flow_out_of_it(widths: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    layers = [nn.Linear(a, b, bias=False).double() for a, b in pairwise(widths)]
    for layer in layers:
        layer.weight.data.abs_().mul_(torch.rand_like(layer.weight) < 0.7)  # some are pruned
    weights: list[Tensor] = [layer.weight for layer in layers]
    ones = torch.ones(1, widths[0], dtype=torch.float64)
    flows = synaptic_flow(nn.Sequential(*layers), weights, ones)
    for into, out in pairwise(flows):
        torch.testing.assert_close(into.sum(dim=1), out.sum(dim=0))


def test_synflow_does_not_depend_on_data_or_signs() -> None:
    first, second = two_layers(), two_layers()
    with torch.no_grad():
        for weight in second.parameters():
            weight.neg_()
    masks = [mask_of(SynFlow, model, 0.8) for model in (first, second)]
    for name in masks[0]:
        np.testing.assert_array_equal(masks[0][name], masks[1][name])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(2, 24), min_size=3, max_size=6), st.integers(1, 3), st.integers(0, 99))
def test_synflow_collapses_no_layer_down_to_a_weight_per_layer(
    widths: list[int], per_layer: int, seed: int
) -> None:
    torch.manual_seed(seed)
    layers = [nn.Linear(a, b, bias=False) for a, b in pairwise(widths)]
    size = sum(layer.weight.numel() for layer in layers)
    assume(per_layer * len(layers) < size)
    sparsifier = SynFlow(1 - per_layer * len(layers) / size, total_steps=1)
    sparsifier.attach(nn.Sequential(*layers), batches((widths[0],)))
    assert all(layer.kept >= 1 for layer in sparsifier.report().layers)


@pytest.mark.parametrize("method", METHODS)
def test_mixed_precision_of_the_caller_does_not_change_the_masks(
    method: type[MaskedSparsifier],
) -> None:
    plain = mask_of(method, two_layers(), 0.7)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = mask_of(method, two_layers(), 0.7)
    for name in plain:
        np.testing.assert_array_equal(plain[name], mixed[name])


def test_gradient_flow_agrees_with_finite_differences_of_the_gradient() -> None:
    model = two_layers().double()
    inputs, labels = next(batches((4,)))
    inputs = inputs.double()
    weights: list[Tensor] = list(model.parameters())
    flow = gradient_flow(model, weights, inputs, labels, cross_entropy)

    def gradient() -> list[Tensor]:
        halves = zip(inputs.chunk(2), labels.chunk(2), strict=True)
        losses = [cross_entropy(model(x) / 200.0, y) for x, y in halves]
        return list(torch.autograd.grad(torch.stack(losses).sum(), weights))

    direction, step = gradient(), 1e-3
    shifted = []
    for sign in (1, -1):
        with torch.no_grad():
            for weight, d in zip(weights, direction, strict=True):
                weight += sign * step * d
        shifted.append(gradient())
        with torch.no_grad():
            for weight, d in zip(weights, direction, strict=True):
                weight -= sign * step * d
    for found, plus, minus in zip(flow, *shifted, strict=True):
        wanted = (plus - minus) / (2 * step)
        assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-6 * float(wanted.abs().max()))


def test_grasp_removes_the_highest_scores_of_the_weights_that_are_trained() -> None:
    model = two_layers()
    weights = list(prunable_weights(model).values())
    inputs, labels = examples_per_class(batches((4,)), 10, 3)
    flow = gradient_flow(model, weights, inputs, labels, cross_entropy)
    scores = [-(w * f).detach().numpy() for w, f in zip(weights, flow, strict=True)]
    expected = global_mask([-score for score in scores], 0.6)
    found = mask_of(GraSP, model, 0.6, reinit_linear=False)
    for mask, wanted in zip(found.values(), expected, strict=True):
        np.testing.assert_array_equal(mask, wanted)


def test_grasp_does_not_depend_on_the_order_of_the_classes() -> None:
    order = torch.tensor([2, 0, 1])  # class k is called order[k]
    first, second = two_layers().double(), two_layers().double()
    with torch.no_grad():
        last = prunable_weights(second)["2.weight"]
        last[order] = prunable_weights(first)["2.weight"]
    named = [(x.double(), y) for x, y in batches((4,))]
    masks = []
    for model, examples in ((first, named), (second, [(x, order[y]) for x, y in named])):
        grasp = GraSP(0.6, total_steps=1, reinit_linear=False)
        grasp.attach(model, examples)
        masks.append(grasp.masks)
    assert torch.equal(masks[0]["0.weight"], masks[1]["0.weight"])
    assert torch.equal(masks[0]["2.weight"], masks[1]["2.weight"][order])


def test_examples_per_class_are_balanced_and_drawn_in_turn() -> None:
    inputs, labels = examples_per_class(batches((4,)), 10, 3)
    assert len(inputs) == 30
    assert labels.tolist() == [0, 1, 2] * 10
