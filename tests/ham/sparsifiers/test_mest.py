"""MEST stays within its bounds and ends at the target."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np
import pytest
import torch

from ham.errors import InvalidConfig
from ham.sparsifiers.common import prunable_weights
from ham.sparsifiers.common.topk import kept_count
from ham.sparsifiers.mest import MEST
from ham.testing.sparsifier_contract import TOTAL_STEPS, small_model, start
from tests.ham.gradients import grad_of


@pytest.mark.parametrize("form", ["EM&S", "EM"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "ham"])
def test_mest_holds_its_bounds_at_every_step_and_ends_at_the_target(
    form: Literal["EM&S", "EM"], optimizer: str
) -> None:
    run = start(partial(MEST, form=form, update_interval=4), 0.8, optimizer)
    mest = run.sparsifier
    assert isinstance(mest, MEST)
    for step in range(1, TOTAL_STEPS + 1):
        run.train(step, step)
        for layer in mest.report().layers:
            target = kept_count(layer.size, 0.8)
            share = 0.5 if step < 33 else 0.25 if step < 45 else 0.0
            extra = int(share * target) if form == "EM&S" else 0
            assert layer.kept == min(layer.size, target + extra)
            weight = prunable_weights(run.model)[layer.name]
            assert not weight[~mest.masks[layer.name]].any()


def test_mest_prunes_by_importance_and_grows_from_zero() -> None:
    model = small_model()
    mest = MEST(0.8, total_steps=100, gradient_weight=0.7)
    mest.bind(torch.optim.SGD(mest.attach(model), lr=0.1, momentum=0.9))
    old = {name: mest.masks[name].numpy() for name in mest.masks}
    generator = torch.Generator().manual_seed(1)
    for weight in prunable_weights(model).values():
        weight.grad = torch.randn(weight.shape, generator=generator)
    weights = {n: w.detach().numpy().copy() for n, w in prunable_weights(model).items()}
    gradients = {n: grad_of(w).numpy().copy() for n, w in prunable_weights(model).items()}
    mest.mutate(1)
    for name, weight in prunable_weights(model).items():
        low, high = mest.bounds(name, 1)
        importance = np.abs(weights[name]) + np.float32(0.7) * np.abs(gradients[name])
        importance[~old[name]] = -1
        kept = np.zeros(importance.size, dtype=bool)
        kept[np.argsort(-importance.ravel(), kind="stable")[:low]] = True
        kept = kept.reshape(importance.shape)
        new = mest.masks[name].numpy()
        assert not (kept & ~new).any()
        assert new.sum() == high
        np.testing.assert_array_equal(
            weight.detach().numpy(), np.where(kept, weights[name], np.float32(0))
        )


def test_stages_begin_at_the_authors_epochs() -> None:
    mest = MEST(0.9, total_steps=160 * 10, steps_per_epoch=10)
    assert mest.decay_steps == [900, 1200]
    assert mest.update_interval == 50
    updates = [step for step in range(1, 1601) if mest.is_update(step)]
    assert updates == list(range(50, 1201, 50))


@pytest.mark.parametrize(
    "options",
    [
        {"form": "EMS"},
        {"mutation": (0.5, 0.0)},
        {"mutation": (0.5, 0.25, 0.1)},
        {"decay_at": (0.7, 0.5)},
        {"decay_at": (), "mutation": (0.0,)},
        {"update_interval": 0},
        {"gradient_weight": -1.0},
    ],
)
def test_options_outside_their_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig):
        MEST(0.9, total_steps=100, **options)
