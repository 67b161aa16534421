"""Invariants of every sparsifier over random networks and sparsities from 0 to 0.99."""

from __future__ import annotations

import copy

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

import ham
from ham.catalog import SPARSIFIERS
from ham.sparsifiers.common import prunable_weights
from ham.sparsifiers.common.allocation import allocate
from ham.sparsifiers.common.topk import kept_count
from tests.ham.sparsifiers.test_contract import SPARSE

CONSTANT = ("at initialization", "dynamic")
ALLOCATED = {
    "random": "erk",
    "sign_in": "erk",
    "set": "erk",
    "rigl": "erk",
    "mest": "uniform",
    "gmp": "uniform",
}
GLOBAL = ("snip", "grasp", "synflow", "acdc", "imp", "lrr", "str", "spred", "pilot", "cs")
STEPS = 24  # IMP and LRR take 22 trainings to a sparsity of 0.99


@st.composite
def networks(draw: st.DrawFn) -> nn.Module:
    """Draw up to two convolutions and two linear layers, with random norms and biases."""
    layers: list[nn.Module] = []
    channels = 2
    for _ in range(draw(st.integers(0, 2))):
        width = draw(st.integers(1, 8))
        bias = draw(st.booleans())
        kernel = draw(st.sampled_from([1, 3]))
        layers.append(nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=bias))
        if draw(st.booleans()):
            layers.append(nn.BatchNorm2d(width))
        layers.append(nn.ReLU())
        channels = width
    hidden = draw(st.integers(1, 12))
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(channels * 9, hidden), nn.ReLU(), nn.Linear(hidden, 3)
    )


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SPARSE),
    networks(),
    st.one_of(st.sampled_from([0.0, 0.5, 0.9, 0.99]), st.floats(0, 0.99)),
    st.integers(0, 1000),
)
def test_realised_sparsity_is_within_one_weight_per_layer(
    name: str, model: nn.Module, sparsity: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(12, 2, 3, 3, generator=generator)
    labels = torch.arange(12) % 3
    sparsifier, groups = ham.sparsify(
        model,
        name,
        sparsity=sparsity,
        total_steps=STEPS,
        seed=seed,
        batches=[(images, labels)],
    )
    optimizer = ham.HAM(torch.optim.SGD(groups, lr=0.05, momentum=0.9), alpha=5.0, beta=1e-2)
    sparsifier.bind(optimizer)
    first = sparsifier.kept()
    for _ in range(STEPS):
        optimizer.zero_grad()
        cross_entropy(model(images), labels).backward()
        optimizer.step()
        if SPARSIFIERS.get(name).family in CONSTANT and name != "mest":
            assert sparsifier.kept() == first
    sparsifier.finalize()
    report = sparsifier.report()
    if name in ALLOCATED:
        shapes = {n: tuple(weight.shape) for n, weight in prunable_weights(model).items()}
        densities = allocate(ALLOCATED[name], shapes, sparsity)
        for layer in report.layers:
            assert layer.kept == kept_count(layer.size, 1 - densities[layer.name])
    elif name in GLOBAL:
        assert report.kept == kept_count(report.prunable, sparsity)
    expected = (1 - sparsity) * report.prunable
    assert expected - 1e-3 <= report.kept <= expected + 2 * len(report.layers)
    for layer in report.layers:
        weight = prunable_weights(model)[layer.name]
        assert int(weight.count_nonzero()) == layer.nonzeros <= layer.kept
        if name in ("random", "snip", "grasp", "synflow"):  # HAM makes no weight zero
            assert layer.nonzeros == layer.kept


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(SPARSE),
    networks(),
    st.sampled_from([0.5, 0.9, 0.99]),
    st.integers(0, STEPS),
    st.integers(0, 1000),
)
def test_training_stopped_at_any_step_and_resumed_ends_bit_equal(
    name: str, model: nn.Module, sparsity: float, halt: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    images, labels = torch.randn(12, 2, 3, 3, generator=generator), torch.arange(12) % 3
    runs = []
    for _ in range(2):
        own = copy.deepcopy(model)
        sparsifier, groups = ham.sparsify(
            own,
            name,
            sparsity=sparsity,
            total_steps=STEPS,
            steps_per_epoch=3,
            seed=seed,
            batches=[(images, labels)],
        )
        base = torch.optim.SGD(groups, lr=0.05, momentum=0.9, weight_decay=1e-3)
        optimizer = ham.HAM(base, alpha=5.0, beta=1e-2)
        sparsifier.bind(optimizer)
        runs.append((own, optimizer, sparsifier))

    def train(run: int, first: int, last: int) -> None:
        own, optimizer, _ = runs[run]
        for _step in range(first, last):
            optimizer.zero_grad()
            cross_entropy(own(images), labels).backward()
            optimizer.step()

    train(0, 0, halt)
    for resumed, whole in zip(runs[1], runs[0], strict=True):
        resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    for run in (0, 1):
        train(run, halt, STEPS)
        runs[run][2].finalize()
    states = [own.state_dict() for own, _, _ in runs]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
