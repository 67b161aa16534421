"""HAM behaves as a torch.optim.Optimizer, also where the authors' wrapper does not."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau

from ham.errors import HamError, IncompatibleCombination, InvalidConfig
from ham.optim import HAM, SAM
from tests.ham.gradients import grad_of
from tests.ham.optim.toy_training import (
    HamPath,
    HamSign,
    closure_of,
    linear,
    small_model,
    take_steps,
    weights,
)

BASES: dict[str, Callable[..., Optimizer]] = {
    "sgd": lambda params: SGD(params, lr=0.1, momentum=0.9),
    "adamw": lambda params: AdamW(params, lr=0.01),
    "adam": lambda params: Adam(params, lr=0.01),
}
EACH_BASE = pytest.mark.parametrize("base", BASES)
EACH_PATH = pytest.mark.parametrize("path", ["reference", "foreach", "fused", "fused_base"])


def wrapped(base: str = "sgd", path: HamPath = "auto", **options: Any) -> tuple[nn.Module, HAM]:
    model = small_model()
    options = {"alpha": 5.0, "beta": 1e-2, **options}
    return model, HAM(BASES[base](model.parameters()), path=path, **options)


def test_ham_step_with_closure_returns_the_loss() -> None:
    model, optimizer = wrapped()
    closure = closure_of(model, optimizer)
    expected = closure().item()
    assert optimizer.step(closure).item() == expected


def test_ham_step_with_closure_equals_step_without() -> None:
    (one, with_closure), (two, without) = wrapped(), wrapped()
    for _ in range(3):
        with_closure.step(closure_of(one, with_closure))
    take_steps(two, without, 3)
    assert torch.equal(weights(one), weights(two))


def test_ham_zero_grad_takes_set_to_none() -> None:
    model, optimizer = wrapped()
    closure_of(model, optimizer)()
    optimizer.zero_grad(set_to_none=False)
    assert all(grad_of(param).count_nonzero() == 0 for param in model.parameters())
    optimizer.zero_grad(set_to_none=True)
    assert all(param.grad is None for param in model.parameters())


@EACH_BASE
@EACH_PATH
def test_ham_resumes_bit_equal(base: str, path: HamPath, tmp_path: Path) -> None:
    model, optimizer = wrapped(base, path)
    schedule = CosineAnnealingLR(optimizer, 8)
    for _ in range(3):
        take_steps(model, optimizer, 1)
        schedule.step()
    checkpoint = {"m": model.state_dict(), "o": optimizer.state_dict(), "s": schedule.state_dict()}
    torch.save(checkpoint, tmp_path / "checkpoint.pt")

    resumed, other = wrapped(base, path, alpha=1.0, beta=0.0)
    other_schedule = CosineAnnealingLR(other, 8)
    loaded = torch.load(tmp_path / "checkpoint.pt")
    resumed.load_state_dict(loaded["m"])
    other.load_state_dict(loaded["o"])
    other_schedule.load_state_dict(loaded["s"])
    for _ in range(4):
        for a_model, an_optimizer, a_schedule in (
            (model, optimizer, schedule),
            (resumed, other, other_schedule),
        ):
            take_steps(a_model, an_optimizer, 1)
            a_schedule.step()
    assert torch.equal(weights(model), weights(resumed))


def test_ham_checkpoint_holds_alpha_beta_and_sign() -> None:
    _, optimizer = wrapped(alpha=7.0, beta=0.5, sign="previous")
    (group,) = optimizer.state_dict()["param_groups"]
    assert (group["ham_alpha"], group["ham_beta"], group["ham_sign"]) == (7.0, 0.5, "previous")


def test_ham_loads_the_checkpoint_of_a_bare_base_and_keeps_its_alpha() -> None:
    model, optimizer = wrapped(alpha=7.0)
    bare = SGD(small_model().parameters(), lr=0.3, momentum=0.9)
    optimizer.load_state_dict(bare.state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.3
    assert optimizer.param_groups[0]["ham_alpha"] == 7.0
    take_steps(model, optimizer, 1)


def test_ham_runs_the_hooks_of_checkpoints() -> None:
    _, optimizer = wrapped()
    optimizer.register_state_dict_post_hook(lambda _, state: {**state, "note": 1})
    seen: list[int] = []
    optimizer.register_load_state_dict_pre_hook(lambda _, state: seen.append(state["note"]))
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen == [1]


def test_ham_runs_step_hooks_once_also_after_a_load() -> None:
    (model, optimizer), (_, other) = wrapped(), wrapped()
    other.load_state_dict(other.state_dict())
    calls = []
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    take_steps(model, optimizer, 1)
    optimizer.load_state_dict(optimizer.state_dict())
    take_steps(model, optimizer, 1)
    assert calls == ["before", "after"] * 2


def test_ham_post_hook_sees_the_weights_after_base_and_ham() -> None:
    model, optimizer = wrapped()
    seen = []
    optimizer.register_step_post_hook(lambda *_: seen.append(weights(model)))
    take_steps(model, optimizer, 1)
    assert torch.equal(seen[0], weights(model))


@EACH_PATH
def test_ham_skips_a_parameter_whose_gradient_a_pre_hook_removes(path: HamPath) -> None:
    model, optimizer = wrapped(path=path)
    take_steps(model, optimizer, 2)
    weight, before = linear(model, 0).weight, linear(model, 0).weight.detach().clone()
    optimizer.register_step_pre_hook(lambda *_: setattr(weight, "grad", None))
    take_steps(model, optimizer, 1)
    assert torch.equal(weight, before)


@EACH_PATH
@EACH_BASE
def test_ham_with_alpha_and_beta_zero_is_the_base_bit_by_bit(base: str, path: HamPath) -> None:
    (one, optimizer), two = wrapped(base, path, alpha=0.0, beta=0.0), small_model()
    take_steps(one, optimizer, 4)
    take_steps(two, BASES[base](two.parameters()), 4)
    assert torch.equal(weights(one), weights(two))


def test_ham_shares_groups_and_state_with_its_base_after_every_copy() -> None:
    model, optimizer = wrapped()
    take_steps(model, optimizer, 1)
    optimizer.load_state_dict(optimizer.state_dict())
    for copied in (
        optimizer,
        copy.deepcopy(optimizer),
        pickle.loads(pickle.dumps(optimizer)),
    ):
        assert copied.param_groups is copied.base.param_groups
        assert copied.state is copied.base.state


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_ham_copy_continues_bit_equal(copier: Callable[[Any], Any]) -> None:
    pair = wrapped("adamw", nonfinite="raise", path="fused_base")
    take_steps(*pair, 2)
    copied = copier(pair)
    for model, optimizer in (pair, copied):
        take_steps(model, optimizer, 3)
    assert torch.equal(weights(pair[0]), weights(copied[0]))
    assert (copied[1].nonfinite, copied[1].path) == ("raise", "fused_base")


def test_ham_added_group_takes_its_own_entries_and_the_defaults_of_the_others() -> None:
    _, optimizer = wrapped(alpha=5.0, beta=0.01)
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2, 2))], "ham_alpha": 1.0})
    group = optimizer.base.param_groups[1]
    assert (group["ham_alpha"], group["ham_beta"], group["lr"]) == (1.0, 0.01, 0.1)


def test_ham_refuses_an_added_group_before_the_base_has_it() -> None:
    _, optimizer = wrapped()
    with pytest.raises(InvalidConfig, match="finite and >= 0"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))], "ham_beta": -1.0})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("field", ["alpha", "beta"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "200", None])
def test_ham_refuses_alpha_and_beta_that_break_the_rule(field: str, value: Any) -> None:
    with pytest.raises(InvalidConfig, match=f"ham_{field}.*it must be a number, finite and >= 0"):
        wrapped(**{field: value})


@pytest.mark.parametrize(
    "options, message",
    [
        ({"max_exponent": 0.0}, r"number in \(0, 80\]"),
        ({"min_dims": -1}, "integer >= 0"),
        ({"sign": "next"}, "'half_step'"),
        ({"path": "quick"}, "reference, foreach, fused"),
        ({"nonfinite": "hide"}, "skip, raise"),
    ],
)
def test_ham_refuses_invalid_options_with_the_allowed_values(options: Any, message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        wrapped(**options)


def test_ham_validates_the_values_that_a_schedule_sets() -> None:
    model, optimizer = wrapped()
    optimizer.param_groups[0]["ham_alpha"] = float("nan")
    before = weights(model)
    with pytest.raises(InvalidConfig, match="ham_alpha"):
        take_steps(model, optimizer, 1)
    assert torch.equal(weights(model), before)


def test_ham_alpha_and_beta_can_change_during_training() -> None:
    (one, scheduled), (two, fixed) = wrapped(alpha=5.0), wrapped(alpha=0.0)
    scheduled.param_groups[0]["ham_alpha"] = 0.0
    take_steps(one, scheduled, 2)
    take_steps(two, fixed, 2)
    assert torch.equal(weights(one), weights(two))


def test_ham_updates_only_parameters_with_enough_dimensions() -> None:
    (one, optimizer), two = wrapped(), small_model()
    take_steps(one, optimizer, 1)
    take_steps(two, SGD(two.parameters(), lr=0.1, momentum=0.9), 1)
    for mine, base in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(mine, base) == (mine.dim() < 2)


@EACH_PATH
@pytest.mark.parametrize("sign, direction", [("half_step", 1), ("previous", -1)])
def test_ham_takes_the_sign_of_the_half_step_or_of_the_previous_weight(
    path: HamPath, sign: HamSign, direction: int
) -> None:
    weight = nn.Parameter(torch.tensor([[0.1]], dtype=torch.float64))
    optimizer = HAM(SGD([weight], lr=0.5), alpha=2.0, beta=0.0, sign=sign, path=path)
    weight.grad = torch.ones_like(weight)
    optimizer.step()  # the base steps from 0.1 to -0.4, across zero
    assert weight.item() == pytest.approx(-0.4 * math.exp(direction))


@EACH_PATH
def test_ham_clamps_the_exponent_by_the_bound_of_each_group(path: HamPath) -> None:
    weights = [nn.Parameter(torch.ones(1, 1, dtype=torch.float64)) for _ in range(2)]
    groups: list[dict[str, Any]] = [
        {"params": [weights[0]]},
        {"params": [weights[1]], "ham_max_exponent": 1.0},
    ]
    optimizer = HAM(SGD(groups, lr=1e-3), alpha=1e6, path=path)
    for weight in weights:
        weight.grad = torch.full_like(weight, -1.0)
    optimizer.step()
    factors = [weight.item() / 1.001 for weight in weights]
    assert factors == pytest.approx([math.exp(5), math.exp(1)])


def test_ham_groups_can_override_the_rule_of_dimensions() -> None:
    model = small_model()
    first, last = linear(model, 0), linear(model, 2)
    groups = [
        {"params": [first.weight, last.weight], "ham_alpha": 0.0, "ham_beta": 0.0},
        {"params": [first.bias, last.bias], "ham_min_dims": 1},
    ]
    bare = small_model()
    take_steps(model, HAM(SGD(groups, lr=0.1), alpha=5.0), 1)
    take_steps(bare, SGD(bare.parameters(), lr=0.1), 1)
    for mine, base in zip(model.parameters(), bare.parameters(), strict=True):
        assert torch.equal(mine, base) == (mine.dim() == 2)


def test_ham_works_with_learning_rate_schedulers_that_check_types_and_momentum() -> None:
    model, optimizer = wrapped()
    OneCycleLR(optimizer, max_lr=0.2, total_steps=10)
    assert optimizer.param_groups[0]["momentum"] != 0.9
    plateau = ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    rate = optimizer.base.param_groups[0]["lr"]
    take_steps(model, optimizer, 1)
    plateau.step(1.0)
    plateau.step(2.0)
    assert optimizer.base.param_groups[0]["lr"] == rate / 2


def test_ham_causes_no_warning_about_the_order_of_scheduler_calls(
    recwarn: pytest.WarningsRecorder,
) -> None:
    model, optimizer = wrapped()
    schedule = CosineAnnealingLR(optimizer, 5)
    take_steps(model, optimizer, 1)
    schedule.step()
    assert not [w for w in recwarn if "lr_scheduler.step()" in str(w.message)]


def test_ham_repr_names_ham_and_the_base() -> None:
    assert repr(wrapped()[1]).startswith("HAM(SGD (")


@pytest.mark.parametrize(
    "make, error, reason",
    [
        (lambda p: HAM(HAM(SGD(p, lr=0.1))), IncompatibleCombination, "factor twice"),
        (lambda p: HAM(SAM(SGD(p, lr=0.1))), IncompatibleCombination, r"SAM\(HAM\(base\)\)"),
        (lambda p: SAM(SAM(SGD(p, lr=0.1))), IncompatibleCombination, "perturb twice"),
        (lambda p: HAM(torch.optim.LBFGS(p)), IncompatibleCombination, "many gradients per step"),
        (lambda p: HAM(p), InvalidConfig, r"HAM\(torch.optim.SGD"),
        (lambda p: SAM(p), InvalidConfig, r"SAM\(HAM\("),
    ],
)
def test_ham_and_sam_refuse_other_orders_and_bases_with_the_reason(
    make: Callable[[list[nn.Parameter]], Optimizer], error: type[HamError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        make(list(small_model().parameters()))


def test_ham_refuses_a_base_without_learning_rate() -> None:
    base = SGD([nn.Parameter(torch.ones(2, 2))], lr=0.1)
    del base.param_groups[0]["lr"]
    with pytest.raises(InvalidConfig, match="base's learning rate"):
        HAM(base)


def test_ham_refuses_complex_weights() -> None:
    weight = nn.Parameter(torch.ones(2, 2, dtype=torch.complex64))
    with pytest.raises(InvalidConfig, match="view_as_real"):
        HAM(SGD([weight], lr=0.1))
    HAM(SGD([weight], lr=0.1), alpha=0.0, beta=0.0)


def test_ham_refuses_sparse_gradients_before_any_parameter_changes() -> None:
    embedding = nn.Embedding(5, 3, sparse=True)
    optimizer = HAM(SGD(embedding.parameters(), lr=0.1))
    embedding(torch.tensor([1])).sum().backward()
    before = embedding.weight.detach().clone()
    with pytest.raises(InvalidConfig, match="sparse=False"):
        optimizer.step()
    assert torch.equal(embedding.weight, before)


def test_ham_leaves_sparse_gradients_to_the_base_in_inactive_groups() -> None:
    embedding = nn.Embedding(5, 3, sparse=True)
    other = nn.Parameter(torch.ones(2, 2))
    groups: list[dict[str, Any]] = [
        {"params": embedding.parameters(), "ham_alpha": 0.0, "ham_beta": 0.0},
        {"params": [other]},
    ]
    optimizer = HAM(SGD(groups, lr=0.1))
    before = embedding.weight.detach().clone()
    (embedding(torch.tensor([1])).sum() + other.sum()).backward()
    optimizer.step()
    assert (embedding.weight != before).any(dim=1).tolist() == [False, True, False, False, False]


def test_ham_reports_a_base_that_begins_to_overwrite_gradients() -> None:
    model, optimizer = wrapped()
    take_steps(model, optimizer, 1)
    optimizer.param_groups[0].update(nesterov=True, foreach=True)
    with pytest.raises(HamError, match="began to overwrite"):
        take_steps(model, optimizer, 1)
