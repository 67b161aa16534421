"""Continuous sparsification: gates, temperature, rounds, penalty and ticket."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

import ham
from ham.errors import InvalidConfig
from ham.sparsifiers.common import prunable_weights
from ham.sparsifiers.common.prunable import prunable_layers, stored_tensors
from ham.sparsifiers.common.topk import kept_count
from ham.sparsifiers.cs import CS, Gate
from ham.testing.sparsifier_contract import TOTAL_STEPS, Run, batch, small_model, start
from tests.ham.gradients import grad_of


def gates(run: Run) -> dict[str, Gate]:
    assert isinstance(run.sparsifier, CS)
    return run.sparsifier.gates


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=9), st.floats(-1, 1), st.floats(1, 200))
def test_weight_is_scaled_by_its_gate(
    values: list[float], start: float, temperature: float
) -> None:
    s = torch.tensor([values], dtype=torch.float64)
    gate = Gate(torch.zeros_like(s), start)
    gate.temperature = temperature
    with torch.no_grad():
        gate.gate.copy_(s)
    weight = torch.linspace(-1, 1, s.numel(), dtype=torch.float64)[None]
    with np.errstate(over="ignore"):
        mask = sigmoid(temperature * s.numpy()) / sigmoid(np.array(start))
    np.testing.assert_allclose(gate(weight).detach().numpy(), weight.numpy() * mask, rtol=1e-9)


def test_temperature_rises_exponentially_over_each_round() -> None:
    cs = CS(0.9, total_steps=120, freeze_at=0.75, rounds=3)  # rounds of 30 steps
    for start_of_round in (0, 30, 60):
        assert cs.temperature(start_of_round) == pytest.approx(1)
        assert cs.temperature(start_of_round + 15) == pytest.approx(math.sqrt(200))
        assert cs.temperature(start_of_round + 29) == pytest.approx(200 ** (29 / 30))


def test_round_reopens_open_gates_and_keeps_closed_ones_closed() -> None:
    run = start(partial(CS, rounds=3, gate_start=0.1), 0.9)
    run.train(1, 14)
    before = {n: gate.gate.detach().numpy().copy() for n, gate in gates(run).items()}
    rounds, after = run.sparsifier, {}
    assert isinstance(rounds, CS)
    rounds.start_round()
    for name, gate in gates(run).items():
        after[name] = gate.gate.detach().numpy()
        expected = np.minimum(200 * before[name], np.float32(0.1))
        np.testing.assert_allclose(after[name], expected, rtol=1e-6)


def test_penalty_adds_its_gradient_to_the_gates_alone() -> None:
    runs = [start(partial(CS, penalty=p), 0.9) for p in (0.0, 0.5)]
    for run in runs:
        run.train(1, 10)
    for target, source in zip(runs[1].model.parameters(), runs[0].model.parameters(), strict=True):
        target.data.copy_(source)
    images, labels = batch(11)
    for run in runs:
        run.optimizer.zero_grad()
        cross_entropy(run.model(images), labels).backward()
        run.sparsifier.before_step(11)
    temperature = 200 ** (10 / 45)
    for one, other in zip(gates(runs[0]).values(), gates(runs[1]).values(), strict=True):
        assert one.temperature == other.temperature == pytest.approx(temperature)
        s = one.gate.detach().double().requires_grad_()
        (0.5 * torch.sigmoid(temperature * s) / torch.sigmoid(torch.tensor(-0.1))).sum().backward()
        added = grad_of(other.gate) - grad_of(one.gate)
        torch.testing.assert_close(added.double(), grad_of(s), rtol=1e-4, atol=1e-6)
    gradients = [
        [grad_of(stored_tensors(x)[0]) for x in prunable_layers(run.model).values()]
        for run in runs
    ]
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


def test_gates_get_neither_weight_decay_nor_the_step_of_ham() -> None:
    model = small_model()
    sparsifier, groups = ham.sparsify(model, "cs", sparsity=0.9, total_steps=60, penalty=0.0)
    base = torch.optim.SGD(groups, lr=0.05, weight_decay=0.1)
    optimizer = ham.HAM(base, alpha=10.0, beta=0.1)
    sparsifier.bind(optimizer)
    assert isinstance(sparsifier, CS)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for gate in sparsifier.gates.values():
        assert torch.equal(gate.gate, torch.full_like(gate.gate, -0.1))


@pytest.mark.parametrize("sparsity", [0.2, 0.9, 0.99])
def test_ticket_is_the_gates_that_are_most_open(sparsity: float) -> None:
    run = start(CS, sparsity)
    run.train(1, TOTAL_STEPS * 3 // 4 - 1)
    cs = run.sparsifier
    assert isinstance(cs, CS)
    s = {name: gate.gate.detach().numpy().copy() for name, gate in gates(run).items()}
    together = np.sort(np.concatenate([x.ravel() for x in s.values()]))[::-1]
    cs.freeze_masks()
    cut = together[kept_count(together.size, sparsity) - 1]
    for name in s:
        mask = cs.masks[name].numpy()
        assert mask[s[name] > cut].all()
        assert not mask[s[name] < cut].any()
    assert cs.emerged == np.mean(together <= 0)
    assert not any(w.detach()[~cs.masks[n]].any() for n, w in prunable_weights(run.model).items())


@pytest.mark.parametrize(
    "options", [{"final_temperature": 0.5}, {"penalty": -1.0}, {"rounds": 0}], ids=str
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match=next(iter(options))):
        CS(0.9, total_steps=10, **options)


WITH_REWINDING = partial(CS, rounds=2, freeze_at=0.5, rewind_at=0.1)


@pytest.mark.parametrize("rewind_at", [0.0, 0.1])
def test_ticket_is_retrained_from_the_early_model_with_a_new_optimizer_state(
    rewind_at: float,
) -> None:
    run = start(partial(CS, freeze_at=0.5, rewind_at=rewind_at), 0.8)
    early = {name: value.clone() for name, value in run.model.state_dict().items()}
    for step in range(1, TOTAL_STEPS // 2 + 1):
        run.train(step, step)
        if step == rewind_at * TOTAL_STEPS:
            early = {name: value.clone() for name, value in run.model.state_dict().items()}
    cs = run.sparsifier
    assert isinstance(cs, CS)
    assert not run.optimizer.state_dict()["state"]
    stored = {id(value): name for name, value in cs.masks.weights.items()}
    for name, value in run.model.state_dict(keep_vars=True).items():
        if id(value) in stored:  # an open gate scales the weight by 1 / sigmoid(s_0)
            mask = cs.masks[stored[id(value)]]
            torch.testing.assert_close(value.data, early[name] * mask * (1 + math.exp(0.1)))
        elif "gate" not in name:
            assert torch.equal(value, early[name])
    run.train(TOTAL_STEPS // 2 + 1, TOTAL_STEPS)
    run.sparsifier.finalize()
    assert cs.report().kept == kept_count(1008, 0.8)


@pytest.mark.parametrize("halt", [3, 20, 45])
def test_retraining_resumes_bit_equal(halt: int) -> None:
    whole, resumed = start(WITH_REWINDING, 0.8), start(WITH_REWINDING, 0.8)
    whole.train(1, halt)
    resumed.load_state_dict(whole.state_dict())
    for run in (whole, resumed):
        run.train(halt + 1, TOTAL_STEPS)
        run.sparsifier.finalize()
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("options", [{"rewind_at": 0.8}, {"rewind_at": 0.1, "freeze_at": 1.0}])
def test_rewinding_without_time_to_retrain_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match="rewind_at"):
        CS(0.9, total_steps=100, **options)
