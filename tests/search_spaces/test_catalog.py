"""The declared files: every name has a space and a recipe, and spaces contain the defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from ham.catalog import DATASETS, SPARSIFIERS, SparsifierSpec
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE
from ham.errors import IncompatibleCombination, InvalidConfig, UnknownName
from search_spaces import (
    JOINT,
    LogRange,
    plugins,
    recipe_for,
    recipes,
    space_for,
    spaces,
    tunable_sparsifiers,
)
from search_spaces.declared import parse_space

TUNED = [spec.name for spec in SPARSIFIERS if spec.takes_ham]


@pytest.mark.parametrize("sparsifier", TUNED)
def test_every_sparsifier_has_a_space_with_the_baseline_and_the_papers_default(
    sparsifier: str,
) -> None:
    space = space_for(sparsifier)
    assert space.contains(RECIPE_BASELINE)
    assert space.contains(PAPER_DEFAULT)


@pytest.mark.parametrize("sparsifier", [spec.name for spec in SPARSIFIERS if not spec.takes_ham])
def test_sparsifier_that_takes_no_ham_has_no_space(sparsifier: str) -> None:
    with pytest.raises(IncompatibleCombination, match=r"alpha = beta = 0.*choose one .*rigl"):
        space_for(sparsifier)


def test_every_family_has_a_file_and_every_dataset_a_space() -> None:
    assert {spec.family for spec in SPARSIFIERS} <= spaces().keys()
    for sparsifier in TUNED:
        for dataset in DATASETS.names():
            space = space_for(sparsifier, dataset=dataset)
            assert space.contains(PAPER_DEFAULT)
            assert space.with_choices(JOINT, "linear", "cosine").tune == JOINT


def test_digits_space_has_the_ranges_of_the_recorded_truth() -> None:
    for sparsifier in TUNED:
        space = space_for(sparsifier, "digits_cnn", "digits")
        assert space.alpha == LogRange(low=1.0, high=400.0, zero_share=0.1)
        assert space.beta == LogRange(low=1e-3, high=3.0, zero_share=0.1)


def test_override_changes_one_axis_and_the_name() -> None:
    space = space_for("rigl", "resnet50", "imagenet")
    assert space.id == "dynamic-imagenet@3"
    assert (space.beta.low, space.beta.high, space.beta.zero_share) == (1e-5, 0.1, 0.1)
    assert space.alpha == space_for("rigl").alpha


GOOD = {
    "version": 1,
    "alpha": {"low": 1.0, "high": 400.0, "zero_share": 0.1},
    "beta": {"low": 1e-4, "high": 1.0},
}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"version": 0}, r"my\.toml: version.*whole number >= 1"),
        ({"alpha": {"low": 2.0, "high": 1.0}}, r"my\.toml: alpha\.low.*0 < low < high"),
        ({"alpha": {"low": "1", "high": 2}}, r"my\.toml: alpha\.low.*number"),
        ({"alpha": {"low": 1.0}}, r"my\.toml: alpha.*missing: high"),
        ({"learning_rate": {"low": 2.0, "high": 4.0}}, r"my\.toml: learning_rate.*contain 1"),
        ({"weight_decay": {"low": 0.1}}, r"my\.toml: weight_decay.*missing: high"),
        ({"schedules": ["step"]}, r"my\.toml: schedules.*constant, linear, cosine"),
        ({"schedules": "linear"}, r"my\.toml: schedules.*list"),
        ({"gamma": {}}, r"my\.toml.*unknown: gamma"),
        ({"beta": 3}, r"my\.toml: beta.*must be a table"),
        ({"override": [{"beta": {"low": 1e-5}}]}, "must name a model, a dataset"),
        ({"override": [{"dataset": "imagenet"}]}, "must change one of alpha, beta"),
        ({"override": [{"dataset": "imagenett", "beta": {"low": 1e-5}}]}, "imagenet"),
    ],
    ids=str,
)
def test_file_that_breaks_a_rule_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    assert parse_space("my", GOOD).space.id == "my@1"
    with pytest.raises(InvalidConfig, match=message):
        parse_space("my", GOOD | changes)


def test_every_declared_space_applies_to_a_known_sparsifier_or_family() -> None:
    families = get_args(get_type_hints(SparsifierSpec)["family"])
    assert spaces().keys() <= {"default", *SPARSIFIERS.names(), *families}


@pytest.mark.parametrize("dataset", DATASETS.names())
def test_every_dataset_has_exactly_one_default_recipe(dataset: str) -> None:
    declared = [each for each in recipes().values() if each.dataset == dataset]
    assert [each.default for each in declared].count(True) == 1
    recipe = recipe_for(dataset)
    assert recipe_for(dataset, recipe.id) == recipe
    assert 0 < recipe.batch_size <= DATASETS.get(dataset).sizes[0]
    assert 0 <= recipe.warmup_epochs < recipe.epochs


@pytest.mark.parametrize(
    ("dataset", "preset"),
    [("cifar10", "cifar"), ("cifar100", "cifar"), ("imagenet", "imagenet"), ("digits", None)],
)
def test_recipes_use_the_published_preset_of_their_scale(dataset: str, preset: str | None) -> None:
    assert recipe_for(dataset).sparsifier_preset == preset


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownName, match=r"known names: .*digits@1"):
        recipe_for("digits", "digits@99")
    with pytest.raises(UnknownName, match="dataset"):
        recipe_for("no_such_data")
    with pytest.raises(UnknownName, match="sparsifier"):
        space_for("no_such_method")


@pytest.fixture
def with_space(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Register a sparsifier of another package whose package has a space file."""

    def register(location: str) -> None:
        spec = replace(SPARSIFIERS.get("rigl"), name="guest", search_space=location)
        monkeypatch.setitem(SPARSIFIERS._specs, "guest", spec)

    return register


def test_package_of_a_sparsifier_may_have_its_space_file(
    with_space: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "guests").mkdir()
    (tmp_path / "guests" / "__init__.py").touch()
    (tmp_path / "guests" / "own.toml").write_text(
        "version = 2\nalpha = { low = 3.0, high = 9.0 }\nbeta = { low = 0.1, high = 0.2 }\n"
        '[[override]]\ndataset = "imagenet"\nbeta = { low = 0.01 }\n'
    )
    (tmp_path / "guests" / "bad.toml").write_text("version = 0\nalpha = 3\nbeta = 4\n")
    monkeypatch.syspath_prepend(tmp_path)
    with_space("guests:own.toml")
    assert space_for("guest").id == "guest@2"
    assert space_for("guest").alpha == LogRange(low=3.0, high=9.0)
    assert space_for("guest", dataset="imagenet").beta.low == 0.01
    assert "guest" in tunable_sparsifiers() and not [p for p in plugins() if p.name == "guest"]
    with_space("guests:bad.toml")
    with pytest.raises(InvalidConfig, match=r"guest\.toml: version"):
        space_for("guest")


@pytest.mark.parametrize("location", ["no_such_package:space.toml", "ham:no_such.toml", "ham"])
def test_broken_space_of_a_plugin_is_listed_and_breaks_nothing_else(
    with_space: Callable[[str], None], location: str
) -> None:
    with_space(location)
    with pytest.raises(InvalidConfig, match=r"package:file\.toml"):
        space_for("guest")
    assert "guest" not in tunable_sparsifiers() and "rigl" in tunable_sparsifiers()
    (listed,) = [plugin for plugin in plugins() if plugin.name == "guest"]
    assert "search_space" in str(listed.error)


def test_sparsifier_without_its_own_space_has_the_space_of_its_family() -> None:
    assert SPARSIFIERS.get("rigl").search_space is None
    assert space_for("rigl").name == "dynamic"
