"""RigL: single mask updates, the count of active weights, and the end of the updates."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.nn.functional import cross_entropy

from ham.sparsifiers.common import prunable_weights
from ham.sparsifiers.rigl import RigL
from ham.testing.sparsifier_contract import TOTAL_STEPS, Run, batch, start
from tests.ham.gradients import grad_of
from tests.ham.sparsifiers.common.test_dynamic import drop_and_grow_in_numpy

INTERVAL = 4


@pytest.fixture(params=["sgd", "adamw", "ham"])
def run(request: pytest.FixtureRequest) -> Run:
    return start(
        lambda s, **common: RigL(s, update_interval=INTERVAL, **common), 0.7, request.param
    )


def masks(run: Run) -> dict[str, torch.Tensor]:
    assert isinstance(run.sparsifier, RigL)
    return {name: run.sparsifier.masks[name] for name in run.sparsifier.masks}


def weights(run: Run) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in prunable_weights(run.model).items()}


def test_rigl_keeps_the_count_of_each_layer_at_every_step(run: Run) -> None:
    first = {name: int(mask.sum()) for name, mask in masks(run).items()}
    updates = 0
    for step in range(1, TOTAL_STEPS + 1):
        before = masks(run)
        run.train(step, step)
        assert {name: int(mask.sum()) for name, mask in masks(run).items()} == first
        assert all(not w[~masks(run)[name]].any() for name, w in weights(run).items())
        updates += any(not torch.equal(before[name], mask) for name, mask in masks(run).items())
    assert updates >= 5


def test_rigl_update_drops_and_grows_as_numpy_does_and_changes_nothing_else(run: Run) -> None:
    run.train(1, INTERVAL - 1)
    old_masks, old_weights = masks(run), weights(run)
    biases = [p.detach().clone() for p in run.model.parameters() if p.dim() == 1]
    images, labels = batch(INTERVAL)
    run.optimizer.zero_grad()
    cross_entropy(run.model(images), labels).backward()
    gradients = {name: grad_of(w).clone() for name, w in prunable_weights(run.model).items()}
    run.optimizer.step()
    assert isinstance(run.sparsifier, RigL)
    for name, mask in masks(run).items():
        if old_masks[name].all():
            assert mask.all()
            continue
        # (1 + cos(pi * 4 / 45)) / 2 * 0.3 of the active weights, rounded down
        count = int(0.2942 * int(old_masks[name].sum()))
        expected = drop_and_grow_in_numpy(
            old_weights[name].numpy(),
            old_masks[name].numpy(),
            count,
            gradients[name].abs().numpy(),
        )
        assert torch.equal(mask, torch.from_numpy(expected))
        stayed = mask & old_masks[name]
        new = mask & ~old_masks[name]
        assert torch.equal(weights(run)[name][stayed], old_weights[name][stayed])
        assert not weights(run)[name][~stayed].any()
        assert 0 < int(new.sum()) <= count
        state = run.optimizer.state[prunable_weights(run.model)[name]]
        for value in state.values():
            if torch.is_tensor(value) and value.shape == mask.shape:
                assert not value[~stayed].any()
                assert value[stayed].any()
    after = [p for p in run.model.parameters() if p.dim() == 1]
    assert all(torch.equal(*pair) for pair in zip(biases, after, strict=True))


def test_rigl_asks_for_the_dense_gradient_at_updates_only(run: Run) -> None:
    rigl = run.sparsifier
    assert isinstance(rigl, RigL)
    asked = [step for step in range(1, TOTAL_STEPS + 1) if rigl.reads_dense_gradient(step)]
    assert asked == list(range(INTERVAL, rigl.end_step, INTERVAL))


def test_rigl_freezes_its_masks_after_the_end(run: Run) -> None:
    assert isinstance(run.sparsifier, RigL)
    run.train(1, run.sparsifier.end_step)
    frozen = masks(run)
    run.train(run.sparsifier.end_step + 1, TOTAL_STEPS)
    assert all(torch.equal(frozen[name], mask) for name, mask in masks(run).items())


def test_rigl_without_drops_is_a_fixed_mask() -> None:
    run = start(partial(RigL, drop_fraction=0.0), 0.7)
    first = masks(run)
    run.train(1, TOTAL_STEPS)
    assert all(torch.equal(first[name], mask) for name, mask in masks(run).items())
