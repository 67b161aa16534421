"""Re-parameterized methods: parameter groups, HAM, mask freezing, folding."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import ham
from ham.catalog import SPARSIFIERS
from ham.errors import HamError, InvalidConfig
from ham.sparsifiers.common import prunable_weights
from ham.sparsifiers.common.mask_freezing import MaskFreezingSparsifier
from ham.sparsifiers.common.prunable import prunable_layers, stored_tensors
from ham.sparsifiers.common.reparametrized import auxiliary_of, gradient_flow_time
from ham.sparsifiers.common.topk import kept_count
from ham.testing.sparsifier_contract import TOTAL_STEPS, Run, batch, outputs, small_model, start

METHODS = ["str", "spred", "pilot", "cs", "sign_in"]
FREEZING = [name for name in METHODS if name != "sign_in"]
FACTORS = ["spred", "pilot", "sign_in"]


def begin(name: str, sparsity: float = 0.9, optimizer: str = "sgd") -> Run:
    return start(SPARSIFIERS.get(name).load(), sparsity, optimizer)


def mask_freezing(run: Run) -> MaskFreezingSparsifier:
    assert isinstance(run.sparsifier, MaskFreezingSparsifier)
    return run.sparsifier


def auxiliary(model: nn.Module) -> list[torch.Tensor]:
    return [tensor for layer in prunable_layers(model).values() for tensor in auxiliary_of(layer)]


@pytest.mark.parametrize("name", METHODS)
def test_attaching_leaves_the_weights_and_outputs_as_they_were(name: str) -> None:
    model = small_model()
    before = {n: w.detach().clone() for n, w in prunable_weights(model).items()}
    ham.sparsify(model, name, sparsity=0.0, total_steps=100, batches=[batch(0)])
    for weight, value in prunable_weights(model).items():
        torch.testing.assert_close(value, before[weight], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", METHODS)
def test_every_parameter_is_in_one_group_and_ham_is_off_for_the_auxiliary_group(
    name: str,
) -> None:
    run = begin(name, 0.5, "ham")
    groups = run.optimizer.param_groups
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in run.model.parameters())
    active = {id(p) for group in groups if group["ham_alpha"] for p in group["params"]}
    assert active.isdisjoint(id(tensor) for tensor in auxiliary(run.model))
    assert (name in FACTORS) == (
        not any(p.dim() > 1 and id(p) in active for p in run.model.parameters())
    )


@pytest.mark.parametrize("name", METHODS)
def test_one_step_with_ham_moves_auxiliary_tensors_as_without(name: str) -> None:
    runs = {optimizer: begin(name, 0.5) for optimizer in ("plain", "with ham")}
    groups = [dict(group) for group in runs["with ham"].optimizer.param_groups]
    runs["with ham"].optimizer = ham.HAM(
        torch.optim.SGD(groups, lr=0.05, momentum=0.9, weight_decay=1e-3), alpha=50.0, beta=0.1
    )
    runs["with ham"].sparsifier.bind(runs["with ham"].optimizer)
    for run in runs.values():
        run.train(1, 1)
    plain, with_ham = (run.model for run in runs.values())
    for one, other in zip(auxiliary(plain), auxiliary(with_ham), strict=True):
        assert torch.equal(one, other)
    moved = [
        not torch.equal(one, other)
        for one, other in zip(plain.parameters(), with_ham.parameters(), strict=True)
        if one.dim() == 4
    ]
    assert any(moved) == (name not in FACTORS)


@pytest.mark.parametrize("name", METHODS)
def test_optimizer_of_all_parameters_in_one_group_is_refused(name: str) -> None:
    model = small_model()
    sparsifier, _ = ham.sparsify(model, name, sparsity=0.5, total_steps=10, batches=[batch(0)])
    with pytest.raises(HamError, match="build the optimizer from the groups"):
        sparsifier.bind(torch.optim.SGD(model.parameters(), lr=0.1))


def test_shared_or_reparameterized_weights_are_refused() -> None:
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    tied[1].weight = tied[0].weight
    with pytest.raises(InvalidConfig, match="needs its own"):
        ham.sparsify(tied, "str", sparsity=0.5, total_steps=10)
    model = small_model()
    ham.sparsify(model, "str", sparsity=0.5, total_steps=10)
    with pytest.raises(InvalidConfig, match="fold it first"):
        ham.sparsify(model, "spred", sparsity=0.5, total_steps=10)


@pytest.mark.parametrize("name", METHODS)
def test_dense_layers_stay_plain_and_dense(name: str) -> None:
    model = small_model()
    sparsifier, groups = ham.sparsify(
        model,
        name,
        sparsity=0.9,
        total_steps=4,
        batches=[batch(0)],
        dense_layers=("first", "last"),
    )
    layers = prunable_layers(model)
    assert [len(stored_tensors(x)) for x in (layers["0"], layers["8"])] == [1, 1]
    run = Run(model, sparsifier, torch.optim.SGD(groups, lr=0.05))
    sparsifier.bind(run.optimizer)
    run.train(1, 4)
    sparsifier.finalize()
    first, *others, last = sparsifier.report().layers
    assert (first.kept, last.kept) == (first.size, last.size)
    size = sum(layer.size for layer in others)
    assert 0 <= sum(layer.kept for layer in others) - kept_count(size, 0.9) <= len(others)


@pytest.mark.parametrize("name", FREEZING)
def test_method_trains_densely_until_its_masks_freeze_at_exactly_the_target(name: str) -> None:
    run = begin(name)
    sparsifier, last = mask_freezing(run), TOTAL_STEPS * 3 // 4
    size = sparsifier.report().prunable
    run.train(1, last - 1)
    assert (sparsifier.report().kept, sparsifier.report().emerged) == (size, None)
    zeros = sparsifier.emerged_zeros()
    run.train(last, last)
    report = sparsifier.report()
    assert report.kept == kept_count(size, 0.9)
    assert report.emerged is not None
    assert report.emerged == pytest.approx(zeros / size, abs=0.2)  # one step earlier
    assert report.to_json()["emerged"] == report.emerged
    masks = {weight: sparsifier.masks[weight] for weight in sparsifier.masks}
    run.train(last + 1, TOTAL_STEPS)
    for weight, mask in masks.items():
        assert torch.equal(sparsifier.masks[weight], mask)
    assert sparsifier.report().emerged == report.emerged


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(FREEZING), st.floats(0, 0.99), st.integers(0, 12))
def test_training_that_stops_at_any_step_saves_the_target(
    name: str, sparsity: float, steps: int
) -> None:
    run = start(
        lambda s, **common: SPARSIFIERS.get(name).load()(s, **{**common, "total_steps": 12}),
        sparsity,
    )
    run.train(1, steps)
    run.sparsifier.finalize()
    report = run.sparsifier.report()
    assert report.kept == kept_count(report.prunable, sparsity)
    plain = small_model()
    plain.load_state_dict(run.model.state_dict())
    assert torch.equal(outputs(plain), outputs(run.model))


@pytest.mark.parametrize("name", FREEZING)
def test_masks_sparser_than_the_emerged_sparsity_change_no_kept_weight(name: str) -> None:
    run = begin(name, 0.99)
    run.train(1, 5)
    if name == "cs":  # its gates are all more closed than open at first
        for gate in mask_freezing(run).scores().values():
            gate.abs_()
    before = {n: w.detach().clone() for n, w in prunable_weights(run.model).items()}
    mask_freezing(run).freeze_masks()
    for weight, value in prunable_weights(run.model).items():
        assert torch.equal(value, before[weight] * mask_freezing(run).masks[weight])


@pytest.mark.parametrize("name", FREEZING)
@pytest.mark.parametrize("freeze_at", [0.0, 1.01, -0.5, math.nan])
def test_mask_freezing_outside_the_training_is_refused(name: str, freeze_at: float) -> None:
    with pytest.raises(InvalidConfig, match="freeze_at"):
        SPARSIFIERS.get(name).load()(0.9, total_steps=10, freeze_at=freeze_at)


def test_gradient_flow_time_counts_the_peak_rate_and_momentum() -> None:
    assert gradient_flow_time({"lr": 0.1}, 50) == pytest.approx(5)
    group = {"lr": 0.01, "initial_lr": 0.2, "momentum": 0.9}
    assert gradient_flow_time(group, 10) == pytest.approx(20)
