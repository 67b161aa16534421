"""GMP follows the cubic ramp and prunes the smallest weights for good."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np
import pytest
import torch

from ham.errors import InvalidConfig
from ham.sparsifiers.common import prunable_weights
from ham.sparsifiers.common.schedules import cubic_sparsity
from ham.sparsifiers.common.topk import kept_count
from ham.sparsifiers.gmp import GMP
from ham.testing.sparsifier_contract import TOTAL_STEPS, Run, small_model, start


def kept_by_layer(run: Run) -> dict[str, int]:
    return {layer.name: layer.kept for layer in run.sparsifier.report().layers}


@pytest.mark.parametrize(
    ("step", "sparsity"),
    [
        (0, 0.0),
        (1000, 0.0),
        (2000, 0.297070),
        (3000, 0.520312),
        (5000, 0.7875),
        (7000, 0.885938),
        (8900, 0.899998),
        (9000, 0.9),
        (12000, 0.9),
    ],
)
def test_cubic_ramp_gives_the_papers_values(step: int, sparsity: float) -> None:
    assert cubic_sparsity(step, 1000, 9000, 0.9) == pytest.approx(sparsity, abs=6e-7)


@pytest.mark.parametrize(
    ("final", "quarters"),
    [(0.8, (0.4625, 0.7, 0.7875)), (0.95, (0.549219, 0.83125, 0.935156))],
)
def test_cubic_ramp_at_its_quarters(final: float, quarters: tuple[float, ...]) -> None:
    found = [cubic_sparsity(step, 0, 4, final) for step in (1, 2, 3)]
    assert found == pytest.approx(quarters, abs=6e-7)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "ham"])
def test_gmp_holds_the_ramp_in_every_layer_and_masks_are_nested(optimizer: str) -> None:
    run = start(GMP, 0.9, optimizer)
    gmp = run.sparsifier
    assert isinstance(gmp, GMP)
    sizes = {layer.name: layer.size for layer in gmp.report().layers}
    sparsity, cuts = 0.0, 0
    masks = {name: gmp.masks[name] for name in gmp.masks}
    for step in range(1, TOTAL_STEPS + 1):
        run.train(step, step)
        if gmp.is_update(step):
            cuts += 1
            sparsity = cubic_sparsity(step, gmp.begin_step, gmp.end_step, 0.9)
        assert kept_by_layer(run) == {n: kept_count(size, sparsity) for n, size in sizes.items()}
        for name, weight in prunable_weights(run.model).items():
            assert not (gmp.masks[name] & ~masks[name]).any()
            assert not weight[~gmp.masks[name]].any()
            masks[name] = gmp.masks[name]
    assert sparsity == 0.9
    assert cuts == 9


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_pruning_agrees_with_a_numpy_sort(scope: Literal["layer", "global"]) -> None:
    model = small_model()
    gmp = GMP(0.9, total_steps=10, scope=scope)
    gmp.bind(torch.optim.SGD(gmp.attach(model), lr=0.1))
    weights = {n: w.detach().numpy().copy() for n, w in prunable_weights(model).items()}
    gmp.prune(0.6)
    if scope == "layer":
        keep = {
            n: np.sort(abs(w), axis=None)[::-1][kept_count(w.size, 0.6) - 1]
            for n, w in weights.items()
        }
    else:
        together = np.sort(np.concatenate([abs(w).ravel() for w in weights.values()]))[::-1]
        keep = dict.fromkeys(weights, together[kept_count(together.size, 0.6) - 1])
    for name, weight in prunable_weights(model).items():
        expected = np.where(abs(weights[name]) >= keep[name], weights[name], 0)
        np.testing.assert_array_equal(weight.detach().numpy(), expected)


def test_prunings_come_at_the_interval_and_end_with_the_ramp() -> None:
    gmp = GMP(0.9, total_steps=10_000, begin=0.1, end=0.9, update_interval=1000)
    events = [step for step in range(1, 10_001) if gmp.is_update(step)]
    assert events == [2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000]


def test_dense_layers_are_not_pruned() -> None:
    run = start(partial(GMP, dense_layers=("0.weight",)), 0.9)
    run.train(1, TOTAL_STEPS)
    first, *others = run.sparsifier.report().layers
    assert first.kept == first.size
    assert all(layer.kept == kept_count(layer.size, 0.9) for layer in others)


@pytest.mark.parametrize(
    "options",
    [{"begin": 0.8, "end": 0.2}, {"end": 1.5}, {"scope": "all"}, {"update_interval": 0}],
)
def test_options_outside_their_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig):
        GMP(0.9, total_steps=100, **options)
