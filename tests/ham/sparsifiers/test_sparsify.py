"""``ham.sparsify`` in a training loop of the user's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import ham
from ham.catalog import SPARSIFIERS
from ham.errors import InvalidConfig, UnknownName
from ham.sparsifiers.common import MaskedSparsifier, prunable_weights
from ham.sparsifiers.random import Random
from ham.testing.sparsifier_contract import TOTAL_STEPS, batch, small_model, start
from tests.ham.gradients import grad_of
from tests.ham.sparsifiers.test_contract import SPARSE


def test_four_lines_make_a_loop_sparse() -> None:
    model = small_model()
    sparsifier, groups = ham.sparsify(model, "rigl", sparsity=0.9, total_steps=60)
    optimizer = ham.HAM(torch.optim.SGD(groups, lr=0.05, momentum=0.9), alpha=20, beta=1e-2)
    sparsifier.bind(optimizer)
    for step in range(1, 61):
        images, labels = batch(step)
        loss = cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    sparsifier.finalize()
    zeros = sum(int((p == 0).sum()) for p in model.parameters() if p.dim() > 1)
    report = sparsifier.report()
    assert zeros == report.prunable - report.nonzeros
    assert report.realised >= 0.9 - 4 / report.prunable


@pytest.mark.parametrize("name", SPARSE)
def test_sam_around_ham_keeps_dropped_weights_at_zero(name: str) -> None:
    run = start(SPARSIFIERS.get(name).load(), 0.9, "ham")
    sam = ham.SAM(run.optimizer, model=run.model)
    for step in range(1, TOTAL_STEPS + 1):
        images, labels = batch(step)

        def closure(images: Tensor = images, labels: Tensor = labels) -> Tensor:
            sam.zero_grad()
            loss = cross_entropy(run.model(images), labels)
            loss.backward()
            return loss

        sam.step(closure)
        for layer in run.sparsifier.report().layers:
            assert layer.nonzeros <= layer.kept
    run.sparsifier.finalize()
    report = run.sparsifier.report()
    assert 0.9 - 8 / report.prunable <= report.realised


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "ham"])
@pytest.mark.parametrize("name", SPARSE)
def test_gradients_of_a_closure_are_handled_as_those_before_the_step(
    name: str, optimizer: str
) -> None:
    """Lightning's loop computes gradients in a closure."""
    before, closed = (start(SPARSIFIERS.get(name).load(), 0.9, optimizer) for _ in range(2))
    before.train(1, TOTAL_STEPS)
    for step in range(1, TOTAL_STEPS + 1):
        images, labels = batch(step)

        def closure(images: Tensor = images, labels: Tensor = labels) -> Any:
            closed.optimizer.zero_grad()
            loss = cross_entropy(closed.model(images), labels)
            loss.backward()
            return loss

        loss = (
            closed.optimizer.step(closure) if step % 2 else closed.optimizer.step(closure=closure)
        )
        assert loss is not None
    for one, other in zip(before.model.parameters(), closed.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", SPARSE)
def test_nothing_revives_a_dropped_weight_after_the_last_update(name: str) -> None:
    run = start(SPARSIFIERS.get(name).load(), 0.9, "adamw")
    if not isinstance(run.sparsifier, MaskedSparsifier):
        pytest.skip("its own tests hold what this method does at the end")
    last = TOTAL_STEPS * 56 // 60  # IMP and LRR begin their last training here
    run.train(1, last)
    masks = {weight: run.sparsifier.masks[weight] for weight in run.sparsifier.masks}
    for step in range(last + 1, TOTAL_STEPS + 1):
        run.train(step, step)
        for weight, value in prunable_weights(run.model).items():
            assert torch.equal(run.sparsifier.masks[weight], masks[weight])
            assert not value[~masks[weight]].any()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("name", [name for name in SPARSE if name != "acdc"])
def test_optimizer_state_of_dropped_weights_is_zero(name: str, optimizer: str) -> None:
    """AC/DC is left out: it keeps momentum at compression and clears it at decompression."""
    run = start(SPARSIFIERS.get(name).load(), 0.9, optimizer)
    if not isinstance(run.sparsifier, MaskedSparsifier):
        pytest.skip("it drops weights by its own parametrization")
    nonzeros = 0
    for step in range(1, TOTAL_STEPS + 1):
        run.train(step, step)
        for weight, value in run.sparsifier.masks.weights.items():  # as stored and optimized
            dropped = ~run.sparsifier.masks[weight]
            for state in run.optimizer.state.get(value, {}).values():
                if torch.is_tensor(state) and state.shape == value.shape:
                    assert not state[dropped].any()
                    nonzeros += int(state.count_nonzero())
    assert nonzeros


def test_steps_that_amp_skips_are_not_counted() -> None:
    model = small_model()
    sparsifier, groups = ham.sparsify(model, "set", sparsity=0.5, total_steps=60)
    optimizer = ham.HAM(torch.optim.SGD(groups, lr=0.05))
    sparsifier.bind(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    for step in range(1, 5):
        images, labels = batch(step)
        optimizer.zero_grad()
        scaler.scale(cross_entropy(model(images), labels)).backward()
        if step == 2:
            grad_of(next(model.parameters())).fill_(torch.inf)
        scaler.step(optimizer)
        scaler.update()
    assert sparsifier.state_dict()["steps_taken"] == 3


@pytest.mark.parametrize("name", SPARSIFIERS.names())
@pytest.mark.parametrize("preset", ["imagenet", "cifar"])
def test_every_preset_is_accepted(name: str, preset: str) -> None:
    sparsity = 0.5 if SPARSIFIERS.get(name).takes_sparsity else 0.0
    sparsifier, groups = ham.sparsify(
        small_model(),
        name,
        sparsity=sparsity,
        total_steps=1000,
        batches=[batch(0)],
        preset=preset,
    )
    assert groups
    for option, value in type(sparsifier).presets[preset].items():
        if option in vars(sparsifier):
            assert getattr(sparsifier, option) == value


def test_option_overrides_the_preset() -> None:
    sparsifier, _ = ham.sparsify(
        small_model(), "rigl", sparsity=0.5, total_steps=1000, preset="cifar", update_interval=7
    )
    assert sparsifier.update_interval == 7
    assert sparsifier.end_step == 768


def test_method_without_presets_takes_its_defaults_at_every_scale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = replace(SPARSIFIERS.get("random"), name="bare", factory=f"{__name__}:BARE")
    monkeypatch.setitem(SPARSIFIERS._specs, "bare", spec)
    monkeypatch.setitem(globals(), "BARE", lambda *args, **options: Random(*args, **options))
    sparsifier, _ = ham.sparsify(
        small_model(), "bare", sparsity=0.5, total_steps=10, preset="cifar"
    )
    assert sparsifier.report().target == 0.5


def test_unknown_method_and_wrong_sparsity_are_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'rigl'"):
        ham.sparsify(small_model(), "rigel", sparsity=0.9, total_steps=10)
    with pytest.raises(UnknownName, match="did you mean 'cifar'"):
        ham.sparsify(small_model(), "rigl", sparsity=0.9, total_steps=10, preset="cifar10")
    with pytest.raises(InvalidConfig, match=r"sparsity=1\.0"):
        ham.sparsify(small_model(), "rigl", sparsity=1.0, total_steps=10)
