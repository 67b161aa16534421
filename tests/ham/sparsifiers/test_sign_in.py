"""Sign-In: masks chosen at initialization or given, and rebalancing at unchanged weights."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

import ham
from ham.errors import InvalidConfig
from ham.sparsifiers.common import prunable_weights
from ham.sparsifiers.common.allocation import allocate
from ham.sparsifiers.common.prunable import prunable_layers, stored_tensors
from ham.sparsifiers.common.topk import kept_count
from ham.sparsifiers.rigl import RigL
from ham.sparsifiers.sign_in import SignIn, mask_methods
from ham.sparsifiers.snip import SNIP
from ham.testing.sparsifier_contract import batch, small_model, start
from tests.ham.gradients import grad_of

NEVER = 10**9


@pytest.mark.parametrize("mask", ["random", "snip", "grasp", "synflow"])
def test_mask_is_chosen_at_initialization_and_never_changes(mask: str) -> None:
    run = start(partial(SignIn, mask=mask), 0.8)
    sparsifier = run.sparsifier
    assert isinstance(sparsifier, SignIn)
    first = {name: sparsifier.masks[name] for name in sparsifier.masks}
    for step in range(1, 20):
        run.train(step, step)
        for name, weight in prunable_weights(run.model).items():
            assert torch.equal(sparsifier.masks[name], first[name])
            assert not weight.detach()[~first[name]].any()
    assert sparsifier.explored() == pytest.approx(0.2, abs=8 / 1008)
    assert sparsifier.report().emerged is None


def test_masks_are_those_of_the_method_that_chooses_them() -> None:
    models = small_model(), small_model()
    models[1].load_state_dict(models[0].state_dict())
    own, chooser = SignIn(0.8, total_steps=10, mask="snip"), SNIP(0.8, total_steps=10)
    own.attach(models[0], [batch(0)])
    chooser.attach(models[1], [batch(0)])
    assert all(torch.equal(own.masks[name], chooser.masks[name]) for name in chooser.masks)


def test_options_of_the_mask_are_passed_on() -> None:
    model = small_model()
    shapes = {name: tuple(weight.shape) for name, weight in prunable_weights(model).items()}
    sparsifier, _ = ham.sparsify(
        model, "sign_in", sparsity=0.7, total_steps=9, mask_options={"allocation": "balanced"}
    )
    densities = allocate("balanced", shapes, 0.7)
    for layer in sparsifier.report().layers:
        assert layer.kept == kept_count(layer.size, 1 - densities[layer.name])


def test_mask_of_a_sparse_model_can_be_given() -> None:
    found = start(RigL, 0.8)
    found.train(1, 60)
    found.sparsifier.finalize()
    ticket = found.model.state_dict()
    run = start(partial(SignIn, mask=ticket), found.sparsifier.report().realised)
    assert isinstance(run.sparsifier, SignIn)
    for step in range(1, 31):
        run.train(step, step)
        for name, weight in prunable_weights(run.model).items():
            assert torch.equal(run.sparsifier.masks[name], ticket[name] != 0)
            assert not weight.detach()[ticket[name] == 0].any()
    resumed = start(partial(SignIn, mask=ticket), found.sparsifier.report().realised)
    resumed.load_state_dict(run.state_dict())
    for one in (run, resumed):
        one.train(31, 60)
        one.sparsifier.finalize()
    for name, weight in prunable_weights(run.model).items():
        assert torch.equal(weight, prunable_weights(resumed.model)[name])


def test_mask_that_does_not_fit_is_refused() -> None:
    masks = {name: torch.ones_like(w) for name, w in prunable_weights(small_model()).items()}
    with pytest.raises(InvalidConfig, match="the mask keeps 1008 of 1008"):
        SignIn(0.9, total_steps=10, mask=masks).attach(small_model())
    with pytest.raises(InvalidConfig, match="missing"):
        SignIn(0.0, total_steps=10, mask={}).attach(small_model())
    masks["3.weight"] = torch.ones(2)
    with pytest.raises(InvalidConfig, match="its shape"):
        SignIn(0.0, total_steps=10, mask=masks).attach(small_model())


def test_step_is_that_of_two_factors_under_a_mask_in_numpy() -> None:
    run = start(partial(SignIn, reset_interval=NEVER), 0.8)
    layers = prunable_layers(run.model)
    before = {n: [t.detach().numpy().copy() for t in stored_tensors(x)] for n, x in layers.items()}
    run.train(1, 1)
    for name, layer in layers.items():
        m0, w0 = before[name]
        m1, w1 = (t.detach().numpy() for t in stored_tensors(layer))
        m_grad, w_grad = (grad_of(t).numpy() for t in stored_tensors(layer))
        mask = w0 != 0
        np.testing.assert_allclose(m_grad, w_grad / m0 * w0, rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(m1, m0 - 0.05 * (m_grad + 1e-3 * m0), rtol=1e-5)
        np.testing.assert_allclose(w1, mask * (w0 - 0.05 * (w_grad + 1e-3 * w0)), atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_rebalancing_keeps_the_weights_and_clears_the_momentum(optimizer: str) -> None:
    run = start(partial(SignIn, reset_interval=NEVER), 0.8, optimizer)
    sparsifier = run.sparsifier
    assert isinstance(sparsifier, SignIn)
    run.train(1, 15)
    before = {n: w.detach().clone() for n, w in prunable_weights(run.model).items()}
    sparsifier.rebalance()
    for name, layer in prunable_layers(run.model).items():
        torch.testing.assert_close(layer.weight, before[f"{name}.weight"], atol=1e-6, rtol=0)
        m, w = stored_tensors(layer)
        torch.testing.assert_close(m**2 - w**2, torch.ones_like(m), atol=1e-6, rtol=0)
        for factor in (m, w):
            state = run.optimizer.state[factor]
            assert all(not v.any() for v in state.values() if v.shape == factor.shape)


def test_rebalancing_happens_at_its_interval() -> None:
    run = start(partial(SignIn, reset_interval=7), 0.5)
    layer = prunable_layers(run.model)["3"]
    for step in range(1, 22):
        run.train(step, step)
        m, w = stored_tensors(layer)
        balanced = torch.allclose(m**2 - w**2, torch.ones_like(m), atol=1e-6)
        assert balanced == (step % 7 == 0)
    assert SignIn(0.5, total_steps=1000).reset_interval == 50
    assert SignIn(0.5, total_steps=10).reset_interval == 1


def test_reset_optimizer_false_keeps_the_optimizer_state() -> None:
    run = start(partial(SignIn, reset_interval=5, reset_optimizer=False), 0.5)
    run.train(1, 5)
    for layer in prunable_layers(run.model).values():
        assert run.optimizer.state[stored_tensors(layer)[0]]["momentum_buffer"].any()


def test_wrong_options_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="allowed: random, snip, grasp, synflow"):
        SignIn(0.9, total_steps=10, mask="rigl")
    assert "sign_in" not in mask_methods()
    with pytest.raises(InvalidConfig, match="reset_interval"):
        SignIn(0.9, total_steps=10, reset_interval=0)
    with pytest.raises(InvalidConfig, match="scale"):
        SignIn(0.9, total_steps=10, scale=0.0)
