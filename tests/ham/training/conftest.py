"""Run configs of short trainings on the digits data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ham.config import RECIPE_BASELINE, Combination, HamConfig, Recipe, RunConfig

MakeConfig = Callable[..., RunConfig]


def make_short(
    sparsifier: str = "rigl",
    model: str = "digits_mlp",
    ham_config: HamConfig = RECIPE_BASELINE,
    seed: int = 0,
    **recipe: Any,
) -> RunConfig:
    """Return the run config of a short training; further keywords change its recipe."""
    fields = {"epochs": 3, "batch_size": 64, "learning_rate": 0.1} | recipe
    return RunConfig(
        combination=Combination(
            model=model,
            dataset="digits",
            sparsifier=sparsifier,
            sparsity=0.0 if sparsifier == "dense" else 0.9,
            optimizer="sgd",
            recipe="short@1",
        ),
        recipe=Recipe(name="short", version=1, **fields),
        setting=ham_config,
        seed=seed,
    )


@pytest.fixture
def make_config() -> MakeConfig:
    return make_short
