"""The declared search spaces and recipes, and the rules that choose one for a combination.

A space file applies to the sparsifiers or families that it names; ``default.toml`` applies to all
others. The package of a plug-in may contain a space file for its sparsifier. A recipe file applies
to the dataset that it names. One recipe of each dataset is the default.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ham.catalog import DATASETS, SPARSIFIERS
from ham.catalog import plugins as registry_plugins
from ham.config import Recipe, require_takes_ham
from ham.errors import IncompatibleCombination, InvalidConfig, UnknownName
from ham.registry import Plugin
from search_spaces.declared import DeclaredSpace, parse_space
from search_spaces.space import SearchSpace

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class DeclaredRecipe:
    """A recipe file.

    Attributes:
        recipe: the recipe.
        dataset: registry name of the dataset that it trains on.
        default: True if it is the default recipe of that dataset.
        title: one line for people.
    """

    recipe: Recipe
    dataset: str
    default: bool
    title: str


def _read(path: Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfig("file", path.name, f"it must be valid TOML, but {error}") from error


@cache
def spaces() -> dict[str, DeclaredSpace]:
    """Return every declared space by its target: a sparsifier, a family or ``default``.

    Raises:
        InvalidConfig: a file breaks a rule, or two files have the same target.
    """
    declared: dict[str, DeclaredSpace] = {}
    for path in sorted((_FOLDER / "spaces").glob("*.toml")):
        space = parse_space(path.stem, _read(path))
        for target in space.applies_to:
            if target in declared:
                raise InvalidConfig(
                    f"{path.name}: applies_to",
                    target,
                    f"{declared[target].space.name}.toml applies to it already",
                )
            declared[target] = space
    return declared


@cache
def recipes() -> dict[str, DeclaredRecipe]:
    """Return every declared recipe by its id."""
    declared = {}
    for path in sorted((_FOLDER / "recipes").glob("*.toml")):
        data = _read(path)
        dataset, title = data.pop("dataset"), data.pop("title")
        default = data.pop("default", False)
        DATASETS.get(dataset)
        recipe = Recipe(name=path.stem, **data)
        declared[recipe.id] = DeclaredRecipe(recipe, dataset, default, title)
    return declared


def space_for(
    sparsifier: str, model: str | None = None, dataset: str | None = None
) -> SearchSpace:
    """Return the space of a training: the sparsifier's own, its family's, or the default.

    Raises:
        UnknownName: no sparsifier has this name.
        IncompatibleCombination: the sparsifier cannot be trained with HAM, so there is nothing to
            tune.
        InvalidConfig: the space file of its package breaks a rule, or does not exist.
    """
    require_takes_ham(sparsifier)
    location = SPARSIFIERS.get(sparsifier).search_space
    if location is not None:
        return _packaged_space(sparsifier, location).space_for(model, dataset)
    declared = spaces()
    for target in (sparsifier, SPARSIFIERS.get(sparsifier).family):
        if target in declared:
            return declared[target].space_for(model, dataset)
    return declared["default"].space_for(model, dataset)


@cache
def _packaged_space(sparsifier: str, location: str) -> DeclaredSpace:
    package, _, file = location.partition(":")
    try:
        data = _read(files(package) / file)
    except (ImportError, OSError, ValueError) as error:
        raise InvalidConfig(
            "search_space", location, f'it must be "package:file.toml", but {error}'
        ) from error
    return parse_space(sparsifier, data)


def tunable_sparsifiers() -> list[str]:
    """Return the names of the sparsifiers that have a space, so that HAM can be tuned for them."""
    return [spec.name for spec in SPARSIFIERS if spec.takes_ham and not _space_error(spec.name)]


def plugins() -> list[Plugin]:
    """Return the entry points of other packages, with the errors of their specs and spaces."""
    errors = {spec.name: _space_error(spec.name) for spec in SPARSIFIERS if spec.search_space}
    return registry_plugins() + [
        Plugin(group="ham.sparsifiers", name=name, package="", error=error)
        for name, error in errors.items()
        if error
    ]


def _space_error(sparsifier: str) -> str | None:
    try:
        space_for(sparsifier)
    except IncompatibleCombination:  # there is nothing to tune, so no space is needed
        return None
    except InvalidConfig as error:
        return str(error)
    return None


def recipe_for(dataset: str, recipe: str | None = None) -> Recipe:
    """Return a recipe by id, or the default recipe of a dataset.

    Raises:
        UnknownName: no dataset has this name, or the dataset has no recipe of this id.
        IncompatibleCombination: the dataset has no default recipe.
    """
    DATASETS.get(dataset)
    of_dataset = {id: each for id, each in recipes().items() if each.dataset == dataset}
    if recipe is not None:
        if recipe not in of_dataset:
            raise UnknownName("recipe", recipe, of_dataset)
        return of_dataset[recipe].recipe
    for declared in of_dataset.values():
        if declared.default:
            return declared.recipe
    datasets = sorted({declared.dataset for declared in recipes().values()})
    raise IncompatibleCombination(
        "dataset",
        dataset,
        f"no recipe is declared for it; datasets with a recipe: {', '.join(datasets)}",
    )
