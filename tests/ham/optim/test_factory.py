from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.optim import SGD

from ham.catalog import OPTIMIZERS
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, Recipe
from ham.errors import UnknownName
from ham.optim.factory import build_optimizer
from tests.ham.optim.toy_training import small_model, take_steps, weights

RECIPE = Recipe(
    name="test",
    version=1,
    epochs=2,
    batch_size=8,
    learning_rate=0.1,
    momentum=0.9,
    nesterov=True,
    weight_decay=1e-2,
)


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_registered_base_trains_under_ham(name: str) -> None:
    model = small_model()
    optimizer = build_optimizer(model.parameters(), name, RECIPE, PAPER_DEFAULT)
    group = optimizer.param_groups[0]
    assert (group["lr"], group["ham_alpha"], group["ham_beta"]) == (0.1, 200.0, 1e-3)
    before = weights(model)
    take_steps(model, optimizer, 1)
    assert not torch.equal(weights(model), before)


def test_factory_with_the_recipe_baseline_gives_the_bare_base_bit_by_bit() -> None:
    one, two = small_model(), small_model()
    take_steps(one, build_optimizer(one.parameters(), "sgd", RECIPE, RECIPE_BASELINE), 3)
    base = SGD(two.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-2)
    take_steps(two, base, 3)
    assert torch.equal(weights(one), weights(two))


def test_factory_reads_the_recipe() -> None:
    model = small_model()
    recipe = replace(RECIPE, momentum=0.5, nesterov=False)
    optimizer = build_optimizer(model.parameters(), "sgd", recipe, RECIPE_BASELINE)
    assert optimizer.param_groups[0]["momentum"] == 0.5
    assert not optimizer.param_groups[0]["nesterov"]


def test_factory_names_close_matches_of_an_unknown_base() -> None:
    with pytest.raises(UnknownName, match="did you mean 'sgd'"):
        build_optimizer(small_model().parameters(), "sdg", RECIPE, RECIPE_BASELINE)
