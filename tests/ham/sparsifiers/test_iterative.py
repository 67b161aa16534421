"""IMP and LRR: pruning and rewinding between trainings, at every step of a whole run."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ham.catalog import SPARSIFIERS, prunings
from ham.errors import InvalidConfig
from ham.sparsifiers.common.iterative import IterativeSparsifier
from ham.sparsifiers.common.topk import kept_count
from ham.sparsifiers.imp import IMP
from ham.sparsifiers.lrr import LRR
from ham.testing.sparsifier_contract import TOTAL_STEPS, Run, batch, small_model, start

LRR_DENSITIES = [1, 0.8, 0.64, 0.512, 0.4096, 0.32768, 0.26214, 0.20972, 0.16777, 0.13422, 0.10737]
REWIND_AT = 0.4


def model_of(run: Run) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in run.model.state_dict().items()}


def masks_of(run: Run) -> dict[str, Tensor]:
    assert isinstance(run.sparsifier, IterativeSparsifier)
    return {name: run.sparsifier.masks[name] for name in run.sparsifier.masks}


def first_steps(pruner: IterativeSparsifier) -> dict[int, int]:
    """Return the number of the training that begins at a step, without the first training."""
    return {pruner.steps_before(k) + 1: k for k in range(1, pruner.trainings)}


@given(st.floats(0, 0.99), st.floats(0.05, 0.95))
def test_number_of_prunings_is_the_smallest_that_reaches_the_sparsity(
    sparsity: float, fraction: float
) -> None:
    rounds = prunings(sparsity, fraction)
    assert (1 - fraction) ** rounds <= (1 - sparsity) * (1 + 1e-6)
    assert rounds == 0 or (1 - fraction) ** (rounds - 1) > (1 - sparsity) * (1 - 1e-6)


@pytest.mark.parametrize("sparsity", [0.0, 0.2, 0.36, 0.5, 0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("name", [spec.name for spec in SPARSIFIERS if spec.takes_sparsity])
def test_catalog_and_method_agree_on_the_number_of_trainings(name: str, sparsity: float) -> None:
    spec = SPARSIFIERS.get(name)
    for preset in (None, "imagenet", "cifar"):
        options = spec.load().presets[preset] if preset else {}
        method = spec.load()(sparsity, total_steps=1000, **options)
        assert spec.trainings(sparsity) == getattr(method, "trainings", 1)


def test_densities_are_powers_of_four_fifths_and_the_last_is_the_target() -> None:
    pruner = LRR(0.9, total_steps=1200)
    densities = [1 - pruner.sparsity_of(k) for k in range(pruner.trainings)]
    assert densities == pytest.approx([*LRR_DENSITIES, 0.1], abs=6e-6)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([IMP, LRR]), st.floats(0, 0.99), st.integers(22, 60), st.integers(0, 99))
def test_each_training_has_its_density_and_masks_are_nested(
    method: type[IterativeSparsifier], sparsity: float, total_steps: int, seed: int
) -> None:
    pruner = method(sparsity, total_steps=total_steps)
    torch.manual_seed(seed)
    model = small_model()
    groups = pruner.attach(model)
    run = Run(model, pruner, torch.optim.SGD(groups, lr=0.05, momentum=0.9))
    pruner.bind(run.optimizer)
    size, begins, training = pruner.report().prunable, first_steps(pruner), 0
    for step in range(1, total_steps + 1):
        before = masks_of(run)
        run.train(step, step)
        training = begins.get(step, training)
        assert pruner.report().kept == kept_count(size, pruner.sparsity_of(training))
        for name, mask in masks_of(run).items():
            assert not (mask & ~before[name]).any()
            assert step in begins or torch.equal(mask, before[name])
    assert training == pruner.trainings - 1
    assert pruner.report().kept == kept_count(size, sparsity)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "ham"])
@pytest.mark.parametrize("rewind_at", [0.0, REWIND_AT])
def test_imp_rewinds_to_the_early_model_with_a_new_optimizer_state(
    optimizer: str, rewind_at: float
) -> None:
    run = start(partial(IMP, rewind_at=rewind_at), 0.8, optimizer)
    assert isinstance(run.sparsifier, IMP)
    begins = first_steps(run.sparsifier)
    early = model_of(run)
    assert len(begins) == 8
    for step in range(1, TOTAL_STEPS + 1):
        run.train(step, step)
        if step == run.sparsifier.rewind_step:
            early = model_of(run)
        if step in begins:
            masks = masks_of(run)
            for name, value in model_of(run).items():
                assert torch.equal(value, early[name] * masks.get(name, torch.tensor(1)))
            assert not run.optimizer.state_dict()["state"]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "ham"])
def test_lrr_keeps_the_trained_weights_and_restarts_the_optimizer(optimizer: str) -> None:
    run = start(LRR, 0.8, optimizer)
    assert isinstance(run.sparsifier, LRR)
    begins = first_steps(run.sparsifier)
    for step in range(1, TOTAL_STEPS + 1):
        before = model_of(run)
        run.train(step, step)
        if step in begins:
            for name, mask in masks_of(run).items():
                assert torch.equal(run.model.state_dict()[name], before[name] * mask)
            assert not run.optimizer.state_dict()["state"]
    assert run.optimizer.state_dict()["state"]


def test_pruning_agrees_with_a_numpy_sort_over_all_layers() -> None:
    run = start(LRR, 0.5)
    assert isinstance(run.sparsifier, LRR)
    step = run.sparsifier.steps_before(2)
    run.train(1, step)
    masks = {name: mask.numpy() for name, mask in masks_of(run).items()}
    weights = {name: run.model.state_dict()[name].numpy().copy() for name in masks}
    run.train(step + 1, step + 1)
    kept = np.sort(np.concatenate([abs(weights[n][masks[n]]) for n in masks]))[::-1]
    size = sum(mask.size for mask in masks.values())
    threshold = kept[size - int(0.36 * size) - 1]
    for name, mask in masks_of(run).items():
        np.testing.assert_array_equal(mask.numpy(), abs(weights[name]) >= threshold)


def test_final_weights_of_a_training_stay_until_the_next_begins() -> None:
    run = start(IMP, 0.5)
    assert isinstance(run.sparsifier, IMP)
    run.train(1, run.sparsifier.steps_before(1))
    assert run.sparsifier.report().realised < 0.01
    images, labels = batch(1)
    assert (run.model(images).argmax(1) == labels).float().mean() > 0.6


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (LRR, {"prune_fraction": 0.0}),
        (LRR, {"prune_fraction": 1.0}),
        (LRR, {"total_steps": 11}),
        (IMP, {"rewind_at": 1.0}),
        (IMP, {"rewind_at": -0.1}),
    ],
)
def test_options_outside_their_range_are_refused(
    method: type[IterativeSparsifier], options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidConfig, match=next(iter(options))):
        method(0.9, **({"total_steps": 100} | options))
