"""Loads the declared spaces and recipes, and says which one a combination uses.

A space file applies to the sparsifiers or families it names; ``default.toml`` applies to the
rest. A sparsifier of another package may bring a file of its own. A recipe file applies to its
dataset; several may, one of them being the default.
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
from ham.catalog import plugins as registered
from ham.config import Recipe, require_ham_beside
from ham.errors import IncompatibleCombination, InvalidConfig, UnknownName
from ham.registry import Plugin
from search_spaces.declared import DeclaredSpace, declared_space
from search_spaces.space import SearchSpace

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class DeclaredRecipe:
    """A recipe, the dataset it trains on, and whether it is that dataset's default."""

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
    """Return every declared space by what it applies to: a sparsifier, a family or ``default``.

    Raises:
        InvalidConfig: a file breaks a rule, or two apply to the same.
    """
    declared: dict[str, DeclaredSpace] = {}
    for path in sorted((_HERE / "spaces").glob("*.toml")):
        space = declared_space(path.stem, _read(path))
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
    for path in sorted((_HERE / "recipes").glob("*.toml")):
        data = _read(path)
        dataset, default, title = (
            data.pop("dataset"),
            data.pop("default", False),
            data.pop("title"),
        )
        DATASETS.get(dataset)
        recipe = Recipe(name=path.stem, **data)
        declared[recipe.id] = DeclaredRecipe(recipe, dataset, default, title)
    return declared


def space_for(
    sparsifier: str, model: str | None = None, dataset: str | None = None
) -> SearchSpace:
    """Return the space of a training: the sparsifier's own, its family's, or the default.

    Raises:
        UnknownName: no such sparsifier.
        IncompatibleCombination: HAM has no meaning beside it, so there is nothing to tune.
        InvalidConfig: the file that its package brings breaks a rule, or is not there.
    """
    require_ham_beside(sparsifier)
    brought = SPARSIFIERS.get(sparsifier).search_space
    if brought is not None:
        return _brought_space(sparsifier, brought).space_for(model, dataset)
    declared = spaces()
    for target in (sparsifier, SPARSIFIERS.get(sparsifier).family):
        if target in declared:
            return declared[target].space_for(model, dataset)
    return declared["default"].space_for(model, dataset)


@cache
def _brought_space(sparsifier: str, location: str) -> DeclaredSpace:
    package, _, file = location.partition(":")
    try:
        data = _read(files(package) / file)
    except (ImportError, OSError, ValueError) as error:
        raise InvalidConfig(
            "search_space", location, f'it must be "package:file.toml", but {error}'
        ) from error
    return declared_space(sparsifier, data)


def tunable() -> list[str]:
    """Return the sparsifiers that have a space: those that HAM can be tuned beside."""
    return [row.name for row in SPARSIFIERS if row.takes_ham and not _problem(row.name)]


def plugins() -> list[Plugin]:
    """Return what other packages offer, also what is broken, in its row or in its space."""
    problems = {row.name: _problem(row.name) for row in SPARSIFIERS if row.search_space}
    return registered() + [
        Plugin(group="ham.sparsifiers", name=name, package="", error=problem)
        for name, problem in problems.items()
        if problem
    ]


def _problem(sparsifier: str) -> str | None:
    try:
        space_for(sparsifier)
    except IncompatibleCombination:  # there is nothing to tune, and no need of a space
        return None
    except InvalidConfig as error:
        return str(error)
    return None


def recipe_for(dataset: str, recipe: str | None = None) -> Recipe:
    """Return a recipe by id, or the default one of a dataset.

    Raises:
        UnknownName: no such dataset, or no such recipe for it.
        IncompatibleCombination: the dataset has no default recipe.
    """
    DATASETS.get(dataset)
    fitting = {id: row for id, row in recipes().items() if row.dataset == dataset}
    if recipe is not None:
        if recipe not in fitting:
            raise UnknownName("recipe", recipe, fitting)
        return fitting[recipe].recipe
    for row in fitting.values():
        if row.default:
            return row.recipe
    having = sorted({row.dataset for row in recipes().values()})
    raise IncompatibleCombination(
        "dataset", dataset, f"no recipe is declared for it; datasets with one: {', '.join(having)}"
    )
