"""Run configs: validated when created, and unchanged by a round trip through JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ham.config import RECIPE_BASELINE, Combination, HamConfig, Recipe, RunConfig, format_sparsity
from ham.errors import IncompatibleCombination, InvalidConfig, UnknownName

RECIPE = Recipe(name="digits", version=1, epochs=2, batch_size=64, learning_rate=0.1)
VALID: dict[str, Any] = dict(
    model="digits_cnn",
    dataset="digits",
    sparsifier="rigl",
    sparsity=0.9,
    optimizer="sgd",
    recipe="digits@1",
)
finite = st.floats(0, allow_infinity=False, allow_nan=False)


@given(finite, finite, st.integers(0, 2**31 - 1), st.floats(0, 1, exclude_max=True))
def test_run_config_survives_json_bit_by_bit(
    alpha: float, beta: float, seed: int, sparsity: float
) -> None:
    config = RunConfig(
        combination=Combination(**(VALID | {"sparsity": sparsity})),
        recipe=RECIPE,
        setting=HamConfig(alpha=alpha, beta=beta),
        seed=seed,
    )
    assert RunConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize("field", ["alpha", "beta"])
@pytest.mark.parametrize("value", [-1e-300, -1.0, math.inf, math.nan])
def test_configuration_refuses_negative_and_nonfinite_values(field: str, value: float) -> None:
    fields: dict[str, Any] = {"alpha": 1.0, "beta": 1.0, field: value}
    with pytest.raises(InvalidConfig, match=f"{field}="):
        HamConfig(**fields)


def test_only_alpha_and_beta_both_zero_are_the_baseline() -> None:
    assert RECIPE_BASELINE.is_baseline
    assert not HamConfig(alpha=0.0, beta=1e-9).is_baseline
    assert not HamConfig(alpha=1e-9, beta=0.0).is_baseline


@pytest.mark.parametrize(
    "changes, error, hint",
    [
        ({"model": "digits_cn"}, UnknownName, "did you mean 'digits_cnn'"),
        ({"dataset": "imagenet2"}, UnknownName, "known names: "),
        ({"sparsifier": "RigL"}, UnknownName, "known names: "),
        ({"optimizer": "sgdd"}, UnknownName, "did you mean 'sgd'"),
        ({"sparsity": 1}, InvalidConfig, "0 <= sparsity < 1"),
        ({"sparsity": -0.01}, InvalidConfig, "0 <= sparsity < 1"),
        ({"sparsity": math.nan}, InvalidConfig, "0 <= sparsity < 1"),
        ({"sparsifier": "dense"}, IncompatibleCombination, "takes sparsity 0 only"),
    ],
    ids=str,
)
def test_combination_refuses_bad_fields_by_name_and_says_what_is_allowed(
    changes: dict[str, object], error: type[InvalidConfig], hint: str
) -> None:
    with pytest.raises(error, match=hint) as caught:
        Combination(**(VALID | changes))
    assert caught.value.field in {*changes, "sparsity"}


def test_stored_combination_is_readable_without_its_plugin() -> None:
    without_plugin = Combination.stored(**(VALID | {"sparsifier": "somebodys"}))
    assert without_plugin.key == "digits_cnn-digits/somebodys-0.90/sgd/digits@1"
    with pytest.raises(UnknownName, match="somebodys"):
        without_plugin.check()
    assert Combination.stored(**VALID) == Combination(**VALID)


def test_run_config_refuses_a_recipe_that_is_not_the_combinations() -> None:
    with pytest.raises(IncompatibleCombination, match="digits@1"):
        RunConfig(
            combination=Combination(**VALID),
            recipe=Recipe(name="digits", version=2, epochs=1, batch_size=1, learning_rate=0.1),
            setting=RECIPE_BASELINE,
            seed=0,
        )


@pytest.mark.parametrize("sparsifier", ["spred", "pilot", "sign_in"])
def test_sparsifiers_of_factors_are_trained_without_ham_and_refused_with_ham(
    sparsifier: str,
) -> None:
    recipe = Recipe(name="digits", version=1, epochs=1, batch_size=1, learning_rate=0.1)
    combination = Combination(**(VALID | {"sparsifier": sparsifier}))
    RunConfig(combination=combination, recipe=recipe, setting=RECIPE_BASELINE, seed=0)
    for ham_config in (HamConfig(200.0, 1e-3), HamConfig(0.0, 1e-3)):
        with pytest.raises(IncompatibleCombination, match="train it without HAM"):
            RunConfig(combination=combination, recipe=recipe, setting=ham_config, seed=0)


def test_key_is_readable_and_has_no_sparsity_for_dense() -> None:
    assert Combination(**VALID).key == "digits_cnn-digits/rigl-0.90/sgd/digits@1"
    dense = Combination(**(VALID | {"sparsifier": "dense", "sparsity": 0.0}))
    assert dense.key == "digits_cnn-digits/dense/sgd/digits@1"


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_keys_of_two_sparsities_differ(one: float, other: float) -> None:
    keys = {Combination(**(VALID | {"sparsity": sparsity})).key for sparsity in (one, other)}
    assert len(keys) == len({one, other})


@given(st.floats(0, 1, exclude_max=True))
def test_formatted_sparsity_parses_back_exactly(sparsity: float) -> None:
    assert float(format_sparsity(sparsity)) == sparsity
