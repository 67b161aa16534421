"""Random pruning at initialization: exact counts, constant masks."""

from __future__ import annotations

import pytest
import torch

from ham.errors import UnknownName
from ham.sparsifiers.common import prunable_weights
from ham.sparsifiers.common.allocation import allocate
from ham.sparsifiers.common.topk import kept_count
from ham.sparsifiers.random import Random
from ham.testing.sparsifier_contract import TOTAL_STEPS, small_model, start


@pytest.mark.parametrize("allocation", ["erk", "uniform", "balanced"])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.99])
def test_each_layer_keeps_exactly_its_share(allocation: str, sparsity: float) -> None:
    model = small_model()
    weights = prunable_weights(model)
    sizes = {name: weight.numel() for name, weight in weights.items()}
    densities = allocate(allocation, {n: tuple(w.shape) for n, w in weights.items()}, sparsity)
    sparsifier = Random(sparsity, total_steps=1, allocation=allocation, dense_layers=())
    sparsifier.attach(model)
    for layer in sparsifier.report().layers:
        assert layer.kept == layer.nonzeros
        assert layer.kept == kept_count(sizes[layer.name], 1 - densities[layer.name])


def test_mask_depends_on_the_seed_and_never_changes() -> None:
    runs = [start(Random, 0.8, "ham", seed) for seed in (0, 0, 1)]
    masks = [
        {name: weight != 0 for name, weight in prunable_weights(run.model).items()} for run in runs
    ]
    assert all(torch.equal(masks[0][name], masks[1][name]) for name in masks[0])
    assert not all(torch.equal(masks[0][name], masks[2][name]) for name in masks[0])
    runs[0].train(1, TOTAL_STEPS)
    trained = prunable_weights(runs[0].model)
    assert all(torch.equal(masks[0][name], trained[name] != 0) for name in masks[0])


def test_dense_layers_stay_dense() -> None:
    sparsifier = Random(0.9, total_steps=1, dense_layers=("0.weight",))
    sparsifier.attach(small_model())
    assert sparsifier.report().layers[0].sparsity == 0
    assert all(layer.sparsity > 0 for layer in sparsifier.report().layers[1:3])


def test_dense_layers_are_named_by_their_role_or_refused() -> None:
    sparsifier = Random(0.9, total_steps=1, dense_layers=("first", "last"))
    sparsifier.attach(small_model())
    dense = [layer.sparsity == 0 for layer in sparsifier.report().layers]
    assert dense == [True, False, False, True]
    with pytest.raises(UnknownName, match="did you mean 'first'"):
        Random(0.9, total_steps=1, dense_layers=("fist",)).attach(small_model())
