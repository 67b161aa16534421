"""SET: drop by magnitude, grow at random, at a constant count per layer."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import numpy as np
import pytest
import torch

from ham.sparsifiers.common import prunable_weights
from ham.sparsifiers.set import SET
from ham.testing.sparsifier_contract import TOTAL_STEPS, Run, start
from tests.ham.sparsifiers.common.test_dynamic import drop_and_grow_in_numpy

INTERVAL = 4


@pytest.fixture(params=["sgd", "adamw", "ham"])
def run(request: pytest.FixtureRequest) -> Run:
    return start(partial(SET, update_interval=INTERVAL), 0.7, request.param)


def masks(run: Run) -> dict[str, torch.Tensor]:
    assert isinstance(run.sparsifier, SET)
    return {name: run.sparsifier.masks[name] for name in run.sparsifier.masks}


def test_set_keeps_the_count_of_each_layer_at_every_step(run: Run) -> None:
    first = {name: int(mask.sum()) for name, mask in masks(run).items()}
    updates = 0
    for step in range(1, TOTAL_STEPS + 1):
        before = masks(run)
        run.train(step, step)
        assert {name: int(mask.sum()) for name, mask in masks(run).items()} == first
        updates += any(not torch.equal(before[name], mask) for name, mask in masks(run).items())
    assert updates >= 5


def test_set_drops_only_the_smallest_and_grown_weights_start_at_zero(run: Run) -> None:
    run.train(1, INTERVAL - 1)
    old = masks(run)
    before_update: dict[str, torch.Tensor] = {}

    def save_weights(*_: object) -> None:
        weights = prunable_weights(run.model)
        before_update.update({n: (w * old[n]).detach().clone() for n, w in weights.items()})

    # This hook runs after the step itself. Moved to the first position, it runs before SET's.
    run.optimizer.register_step_post_hook(save_weights)
    hooks = run.optimizer._optimizer_step_post_hooks
    assert isinstance(hooks, OrderedDict)
    hooks.move_to_end(next(iter(hooks)))
    run.train(INTERVAL, INTERVAL)
    for name, mask in masks(run).items():
        if old[name].all():
            continue
        weight = prunable_weights(run.model)[name].detach()
        count = int(0.2942 * int(old[name].sum()))
        stayed = mask & (weight != 0)
        assert int(stayed.sum()) >= int(old[name].sum()) - count
        assert torch.equal(weight[stayed], before_update[name][stayed])
        lost = old[name] & ~stayed
        assert not weight[~stayed].any()
        for value in run.optimizer.state[prunable_weights(run.model)[name]].values():
            if torch.is_tensor(value) and value.shape == mask.shape:
                assert not value[~stayed].any()
        if stayed.any() and lost.any():
            magnitude = before_update[name].abs()
            assert magnitude[lost].sort().values[0] <= magnitude[stayed].max()
        smallest = before_update[name].abs().masked_fill(~old[name], torch.inf).flatten()
        dropped = smallest.argsort(stable=True)[:count]
        assert set(torch.where(lost.flatten())[0].tolist()) <= set(dropped.tolist())


def test_set_update_drops_and_grows_as_numpy_does(run: Run) -> None:
    run.train(1, INTERVAL)
    assert isinstance(run.sparsifier, SET)
    set_, step = run.sparsifier, 2 * INTERVAL
    old = masks(run)
    weights = {n: w.detach().numpy().copy() for n, w in prunable_weights(run.model).items()}
    twin = torch.Generator()
    twin.set_state(set_.generator.get_state())
    set_.update_masks(step)
    for name, mask in masks(run).items():
        count = int(0.3 / 2 * (1 + np.cos(np.pi * step / set_.end_step)) * int(old[name].sum()))
        if old[name].all():
            continue
        scores = torch.rand(mask.shape, generator=twin, dtype=torch.float64).numpy()
        expected = drop_and_grow_in_numpy(weights[name], old[name].numpy(), count, scores)
        np.testing.assert_array_equal(mask.numpy(), expected)


def test_set_freezes_its_masks_after_the_end(run: Run) -> None:
    assert isinstance(run.sparsifier, SET)
    run.train(1, run.sparsifier.end_step)
    frozen = masks(run)
    run.train(run.sparsifier.end_step + 1, TOTAL_STEPS)
    assert all(torch.equal(frozen[name], mask) for name, mask in masks(run).items())
