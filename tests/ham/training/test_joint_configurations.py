"""Jointly tuned values: learning rate, weight decay, and the schedules of alpha and beta."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ham.config import SCHEDULES, Combination, HamConfig, Recipe, RunConfig
from ham.errors import InvalidConfig
from ham.optim.ham_schedules import strength_factor
from ham.training import Training
from search_spaces import recipe_for

RECIPE = replace(recipe_for("digits"), epochs=2)


def training(
    recipe: Recipe = RECIPE, sparsifier: str = "random", sparsity: float = 0.9, **joint: Any
) -> Training:
    combination = Combination(
        model="digits_mlp",
        dataset="digits",
        sparsifier=sparsifier,
        sparsity=sparsity,
        optimizer="sgd",
        recipe=recipe.id,
    )
    ham_config = HamConfig(alpha=30.0, beta=0.01, **joint)
    config = RunConfig(combination=combination, recipe=recipe, setting=ham_config, seed=1)
    return Training(config, device="cpu")


@given(st.floats(0, 1), st.sampled_from(SCHEDULES))
def test_every_schedule_starts_at_full_strength_and_never_rises(
    progress: float, schedule: Any
) -> None:
    assert strength_factor(schedule, 0.0) == 1
    assert 0 <= strength_factor(schedule, 1.0) <= strength_factor(schedule, progress) <= 1


def test_multiples_of_the_recipe_equal_a_recipe_with_the_products() -> None:
    scaled = replace(
        RECIPE, learning_rate=RECIPE.learning_rate / 2, weight_decay=RECIPE.weight_decay * 4
    )
    one, other = training(learning_rate=0.5, weight_decay=4.0), training(scaled)
    one.run_epoch()
    other.run_epoch()
    _assert_equal(one, other)


def test_strengths_follow_their_schedules_to_the_last_step() -> None:
    run = training(alpha_schedule="linear", beta_schedule="cosine")
    steps = RECIPE.epochs * (797 // RECIPE.batch_size)
    while not run.finished:
        run.run_epoch()
    group = run.optimizer.param_groups[0]
    assert group["ham_alpha"] == pytest.approx(30 / steps)
    assert 0 < group["ham_beta"] < 0.01 / steps


def test_strength_schedules_start_again_with_each_training_like_the_learning_rate() -> None:
    shapes: dict[str, Any] = {"alpha_schedule": "linear", "beta_schedule": "cosine"}
    run = training(sparsifier="lrr", sparsity=0.36, **shapes)
    group, seen = run.optimizer.param_groups[0], []
    run.optimizer.register_step_pre_hook(
        lambda *_: seen.append((group["lr"], group["ham_alpha"], group["ham_beta"]))
    )
    while not run.finished:
        run.run_epoch()
    length = len(seen) // 3
    assert len(seen) == 3 * length == 3 * RECIPE.epochs * (797 // RECIPE.batch_size)
    assert seen[:length] == seen[length : 2 * length] == seen[2 * length :]
    assert seen[0][1:] == (30.0, 0.01)
    assert seen[length - 1][1] == pytest.approx(30 / length)


def test_scheduled_training_resumes_bit_equal() -> None:
    whole = training(alpha_schedule="cosine", beta_schedule="linear")
    whole.run_epoch()
    saved = copy.deepcopy(whole.state_dict())
    whole.run_epoch()
    resumed = training(alpha_schedule="cosine", beta_schedule="linear")
    resumed.load_state_dict(saved)
    resumed.run_epoch()
    _assert_equal(whole, resumed)


def test_stored_configurations_without_joint_values_are_read_as_equal() -> None:
    config = training().config
    stored = config.to_json()
    stored["setting"] = {"alpha": 30.0, "beta": 0.01}
    assert RunConfig.from_json(stored) == config
    assert config.setting.joint == {}
    assert HamConfig(1.0, 1.0, learning_rate=2.0).joint == {"learning_rate": 2.0}


@pytest.mark.parametrize(
    "joint", [{"learning_rate": 0.0}, {"weight_decay": -1.0}, {"alpha_schedule": "step"}], ids=str
)
def test_impossible_configurations_are_refused_by_field(joint: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        HamConfig(1.0, 1.0, **joint)
    assert caught.value.field == next(iter(joint))


def _assert_equal(one: Training, other: Training) -> None:
    others = other.model.state_dict()
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, others[name])
