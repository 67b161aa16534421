"""The declared files: every name has a space and a recipe, and every default is within reach."""

from __future__ import annotations

import pytest

from ham.config import NO_HAM, PAPER_DEFAULT
from ham.errors import IncompatibleCombination, UnknownName
from ham.names import DATASETS, SPARSIFIERS
from search_spaces import recipe_for, recipes, space_for, spaces


@pytest.mark.parametrize("sparsifier", [row.name for row in SPARSIFIERS if row.takes_ham])
def test_every_sparsifier_has_a_space_that_holds_no_ham_and_the_papers_default(
    sparsifier: str,
) -> None:
    space = space_for(sparsifier)
    assert space.contains(NO_HAM)
    assert space.contains(PAPER_DEFAULT)


@pytest.mark.parametrize("sparsifier", [row.name for row in SPARSIFIERS if not row.takes_ham])
def test_nothing_is_tuned_where_ham_has_no_meaning(sparsifier: str) -> None:
    with pytest.raises(IncompatibleCombination, match=r"alpha = beta = 0.*choose one .*rigl"):
        space_for(sparsifier)


def test_every_declared_space_applies_to_something_that_exists() -> None:
    families = {row.family for row in SPARSIFIERS}
    assert spaces().keys() <= {"default", *SPARSIFIERS.names(), *families}


@pytest.mark.parametrize("dataset", DATASETS.names())
def test_every_dataset_has_exactly_one_default_recipe(dataset: str) -> None:
    declared = [row for row in recipes().values() if row.dataset == dataset]
    assert [row.default for row in declared].count(True) == 1
    recipe = recipe_for(dataset)
    assert recipe_for(dataset, recipe.id) == recipe
    assert 0 < recipe.batch_size <= DATASETS.get(dataset).sizes[0]
    assert 0 <= recipe.warmup_epochs < recipe.epochs


@pytest.mark.parametrize(
    ("dataset", "preset"),
    [("cifar10", "cifar"), ("cifar100", "cifar"), ("imagenet", "imagenet"), ("digits", None)],
)
def test_recipes_train_sparsifiers_as_published_at_their_scale(
    dataset: str, preset: str | None
) -> None:
    assert recipe_for(dataset).sparsifier_preset == preset


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownName, match=r"known names: .*digits@1"):
        recipe_for("digits", "digits@99")
    with pytest.raises(UnknownName, match="dataset"):
        recipe_for("no_such_data")
    with pytest.raises(UnknownName, match="sparsifier"):
        space_for("no_such_method")
