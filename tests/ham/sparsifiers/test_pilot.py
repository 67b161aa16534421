"""PILoT: the initialization, the penalty over a training, and recovery of a sparse truth."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

import ham
from ham.errors import HamError, InvalidConfig
from ham.sparsifiers.common import prunable_weights
from ham.sparsifiers.common.prunable import prunable_layers, stored_tensors
from ham.sparsifiers.pilot import PILoT
from ham.testing.sparsifier_contract import EPOCHS, STEPS_PER_EPOCH, Run, batch, small_model, start

ACCURACY_DATA = [batch(step) for step in range(100, 104)]  # the first four that ``start`` gives


def training_accuracy(model: nn.Module) -> float:
    model.eval()
    hits = [model(images).argmax(1) == labels for images, labels in ACCURACY_DATA]
    model.train()
    return float(torch.cat(hits).float().mean())


def test_factors_begin_with_the_scale_between_their_squares() -> None:
    model = small_model()
    before = [w.detach().clone() for w in prunable_weights(model).values()]
    ham.sparsify(model, "pilot", sparsity=0.9, total_steps=10, batches=[batch(0)])
    for layer, theta in zip(prunable_layers(model).values(), before, strict=True):
        m, w = stored_tensors(layer)
        torch.testing.assert_close(m**2 - w**2, torch.ones_like(m), atol=1e-6, rtol=0)
        torch.testing.assert_close(m * w, theta, atol=1e-6, rtol=0)


@pytest.mark.parametrize("norm_floor", [0.0, 40.0])
def test_penalty_follows_the_algorithm(norm_floor: float) -> None:
    growth = 1.3
    run = start(
        partial(PILoT, growth=growth, norm_floor=norm_floor, penalty=1e-3, freeze_at=1.0), 0.9
    )
    group, expected, last, ways = run.optimizer.param_groups[1], 1e-3, 0.0, set()
    for epoch in range(1, EPOCHS):
        run.train((epoch - 1) * STEPS_PER_EPOCH + 1, epoch * STEPS_PER_EPOCH)
        accuracy = training_accuracy(run.model)
        norm = sum(float(w.detach().abs().sum()) for w in prunable_weights(run.model).values())
        rises = accuracy >= last and norm >= norm_floor and epoch <= EPOCHS / 2
        expected, last = expected * (growth if rises else 1 / growth), accuracy
        assert group["weight_decay"] == pytest.approx(expected)
        ways.add(rises)
    assert ways == {True, False}


def test_default_penalty_grows_at_most_tenfold() -> None:
    pilot = PILoT(0.9, total_steps=1000, steps_per_epoch=10)
    assert pilot.growth ** (pilot.epochs / 2) == pytest.approx(10)
    assert PILoT(0.9, total_steps=3, steps_per_epoch=10).growth == pytest.approx(10)


def test_measuring_the_accuracy_changes_neither_modes_nor_statistics() -> None:
    run = start(PILoT, 0.9)
    run.model.get_submodule("1").eval()  # a norm that the user has frozen
    before = {n: b.clone() for n, b in run.model.named_buffers()}
    pilot = run.sparsifier
    assert isinstance(pilot, PILoT)
    pilot.adapt(1)
    assert [m.training for m in run.model.children()] == [i != 1 for i in range(9)]
    assert all(torch.equal(b, before[n]) for n, b in run.model.named_buffers())


def test_without_penalty_the_difference_of_squares_is_conserved() -> None:
    model = small_model()
    sparsifier, groups = ham.sparsify(
        model, "pilot", sparsity=0.0, total_steps=1000, growth=1.0, penalty=0.0
    )
    run = Run(model, sparsifier, torch.optim.SGD(groups, lr=1e-3))
    sparsifier.bind(run.optimizer)
    run.train(1, 100)
    for layer in prunable_layers(model).values():
        m, w = stored_tensors(layer)
        torch.testing.assert_close(m**2 - w**2, torch.ones_like(m), atol=1e-4, rtol=0)


def test_diagonal_linear_network_recovers_a_sparse_truth() -> None:
    generator = torch.Generator().manual_seed(0)
    design = torch.randn(100, 40, generator=generator)
    truth = torch.zeros(1, 40)
    truth[0, :5] = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0])
    layer = nn.Linear(40, 1, bias=False)
    sparsifier, groups = ham.sparsify(
        layer, "pilot", sparsity=0.875, total_steps=600, growth=1.0, penalty=1e-2
    )
    optimizer = torch.optim.SGD(groups, lr=0.05)
    sparsifier.bind(optimizer)
    for _ in range(600):
        optimizer.zero_grad()
        ((layer(design) - design @ truth.T) ** 2).mean().div(2).backward()
        optimizer.step()
    sparsifier.finalize()
    assert torch.equal(layer.weight != 0, truth != 0)
    torch.testing.assert_close(layer.weight, truth, atol=1e-3, rtol=0)


def test_adapting_needs_batches_and_a_constant_penalty_does_not() -> None:
    with pytest.raises(HamError, match="pass batches to attach"):
        ham.sparsify(small_model(), "pilot", sparsity=0.9, total_steps=10)
    ham.sparsify(small_model(), "pilot", sparsity=0.9, total_steps=10, growth=1.0)


@pytest.mark.parametrize(
    "options", [{"growth": 0.9}, {"norm_floor": -1.0}, {"scale": 0.0}], ids=str
)
def test_wrong_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InvalidConfig, match=next(iter(options))):
        PILoT(0.9, total_steps=10, **options)
