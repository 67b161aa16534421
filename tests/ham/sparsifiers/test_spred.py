"""spred: the factors, and the L1 penalty that their weight decay adds to the weight."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ham
from ham.errors import InvalidConfig
from ham.sparsifiers.common import prunable_weights
from ham.sparsifiers.common.prunable import prunable_layers, stored_tensors
from ham.sparsifiers.common.topk import kept_count
from ham.sparsifiers.spred import Spred
from ham.testing.sparsifier_contract import TOTAL_STEPS, batch, small_model, start
from tests.ham.gradients import grad_of


def factors(model: nn.Module) -> list[tuple[Tensor, Tensor]]:
    pairs = []
    for layer in prunable_layers(model).values():
        m, w = stored_tensors(layer)
        pairs.append((m, w))
    return pairs


def test_balanced_factors_are_roots_of_the_weights() -> None:
    model = small_model()
    before = {n: w.detach().clone() for n, w in prunable_weights(model).items()}
    ham.sparsify(model, "spred", sparsity=0.9, total_steps=10)
    for (m, w), theta in zip(factors(model), before.values(), strict=True):
        torch.testing.assert_close(m, theta.abs().sqrt())
        torch.testing.assert_close(w, theta.sign() * theta.abs().sqrt())


def test_independent_factors_are_two_orders_of_the_same_values() -> None:
    model = small_model()
    before = [w.detach().clone() for w in prunable_weights(model).values()]
    ham.sparsify(model, "spred", sparsity=0.9, total_steps=10, init="independent")
    for (m, w), theta in zip(factors(model), before, strict=True):
        torch.testing.assert_close(w, theta)
        torch.testing.assert_close(m.flatten().sort().values, theta.flatten().sort().values)
        assert not torch.allclose(m, theta)


def test_decayed_factors_solve_the_lasso_of_an_orthogonal_design() -> None:
    target = torch.tensor([[-1.0, -0.6, -0.3, -0.05, 0.02, 0.1, 0.4, 2.0]])
    layer = nn.Linear(8, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(target.sign())
    sparsifier, groups = ham.sparsify(
        layer, "spred", sparsity=0.0, total_steps=3000, penalty=0.2, freeze_at=1.0
    )
    optimizer = torch.optim.SGD(groups, lr=0.3)
    sparsifier.bind(optimizer)
    for _ in range(600):
        optimizer.zero_grad()
        ((layer.weight - target) ** 2).sum().div(2).backward()
        optimizer.step()
    soft = target.sign() * (target.abs() - 0.2).relu()
    torch.testing.assert_close(layer.weight, soft, atol=1e-4, rtol=0)
    [(m, w)] = factors(layer)
    torch.testing.assert_close(m.abs(), w.abs(), atol=1e-4, rtol=0)  # stationary: balanced


def test_step_is_that_of_two_factors_in_numpy_and_the_imbalance_decays() -> None:
    run = start(partial(Spred, penalty=0.3, init="independent"), 0.9)
    run.optimizer.param_groups[1]["momentum"] = 0.0
    before = [
        (m.detach().numpy().copy(), w.detach().numpy().copy()) for m, w in factors(run.model)
    ]
    run.train(1, 1)
    for (m0, w0), (m1, w1), layer in zip(
        before, factors(run.model), prunable_layers(run.model).values(), strict=True
    ):
        m_grad, w_grad = (grad_of(t).numpy() for t in stored_tensors(layer))
        theta_grad = np.divide(w_grad, m0)
        np.testing.assert_allclose(m_grad, theta_grad * w0, rtol=1e-3, atol=1e-6)
        expected = (
            m0 - 0.05 * (theta_grad * w0 + 0.3 * m0),
            w0 - 0.05 * (theta_grad * m0 + 0.3 * w0),
        )
        np.testing.assert_allclose(m1.detach().numpy(), expected[0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(w1.detach().numpy(), expected[1], rtol=1e-4, atol=1e-6)
        # d(m^2 - w^2)/dt = -2 lambda (m^2 - w^2) for every loss
        imbalance = (m1**2 - w1**2).detach().numpy()
        second_order = 0.05**2 * (np.square(theta_grad) + 0.2) * (m0**2 + w0**2 + 0.1)
        assert (abs(imbalance - (1 - 2 * 0.05 * 0.3) * (m0**2 - w0**2)) <= second_order).all()


def test_mask_freezing_keeps_the_largest_products_and_ends_the_penalty() -> None:
    run = start(Spred, 0.8)
    run.train(1, TOTAL_STEPS * 3 // 4 - 1)
    assert run.optimizer.param_groups[1]["weight_decay"] > 0
    run.train(TOTAL_STEPS * 3 // 4, TOTAL_STEPS * 3 // 4)
    assert run.optimizer.param_groups[1]["weight_decay"] == 0
    weights = [w.detach().numpy().ravel() for w in prunable_weights(run.model).values()]
    magnitudes = np.sort(abs(np.concatenate(weights)))[::-1]
    kept = kept_count(magnitudes.size, 0.8)
    assert not magnitudes[kept:].any()
    assert magnitudes[kept - 1] > 0


def test_penalty_after_keeps_the_penalty() -> None:
    run = start(partial(Spred, penalty=0.01, penalty_after=True), 0.8)
    run.train(1, TOTAL_STEPS)
    assert run.optimizer.param_groups[1]["weight_decay"] == 0.01


def test_default_penalty_has_the_same_total_decay_in_a_longer_training() -> None:
    decays = []
    for steps, rate in ((100, 0.1), (1000, 0.05)):
        sparsifier, groups = ham.sparsify(small_model(), "spred", sparsity=0.9, total_steps=steps)
        sparsifier.bind(torch.optim.SGD(groups, lr=rate, momentum=0.9))
        decays.append(groups[-1]["weight_decay"] * rate * steps / (1 - 0.9))
    assert decays == pytest.approx([Spred.total_decay] * 2)


@pytest.mark.parametrize(
    "options", [{"penalty": -1.0}, {"zero_below": 0.0}, {"init": "random"}], ids=str
)
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidConfig, match=next(iter(options))):
        ham.sparsify(
            small_model(), "spred", sparsity=0.5, total_steps=9, batches=[batch(0)], **options
        )
