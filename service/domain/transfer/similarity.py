"""How similar combinations are: the distance between two, and the nearest tuned ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ham.catalog import SPARSIFIERS
from ham.client.records import SurfaceGrid
from ham.config import Combination, Recipe

MIN_NEIGHBOURS = 3
"""Neighbours from which a gain is pooled. Fewer do not show how much combinations differ."""
MAX_NEIGHBOURS = 12
MAX_DISTANCE = 2.5
"""Largest distance of a neighbour."""


@dataclass(frozen=True)
class TunedCombination:
    """A combination with the recipe it was tuned under and the surface that was found."""

    combination: Combination
    recipe: Recipe
    surface: SurfaceGrid


@dataclass(frozen=True)
class Neighbour:
    """A tuned combination, and its distance to another one."""

    tuned: TunedCombination
    distance: float


def distance(one: Combination, other: Combination, lr_ratio: float = 1.0) -> float:
    """Return the distance of two combinations; 0 only where they are equal.

    It is the sum of 1 for another model, 1 for another dataset, 1 for another sparsifier (0.5
    within a family), 2 for another optimizer, 0.5 for a tenfold density, 0.5 for a tenfold
    learning rate, and 0.1 for another recipe.

    Args:
        one: a combination.
        other: another.
        lr_ratio: learning rate of the one recipe over that of the other.
    """
    families = {SPARSIFIERS.get(c.sparsifier).family for c in (one, other)}
    return math.fsum(
        (
            one.model != other.model,
            one.dataset != other.dataset,
            2 * (one.optimizer != other.optimizer),
            0.5 * (one.sparsifier != other.sparsifier) * len(families),
            0.5 * abs(math.log10((1 - one.sparsity) / (1 - other.sparsity))),
            0.5 * abs(math.log10(lr_ratio)),
            0.1 * (one.recipe != other.recipe),
        )
    )


def neighbours(
    target: Combination, recipe: Recipe, known: Sequence[TunedCombination]
) -> list[Neighbour]:
    """Return the tuned combinations near another one, the nearest first.

    Args:
        target: the combination; it is not its own neighbour.
        recipe: its recipe.
        known: tuned combinations.

    Returns:
        At most :data:`MAX_NEIGHBOURS`, at most :data:`MAX_DISTANCE` away.
    """
    found = [
        Neighbour(
            tuned,
            distance(target, tuned.combination, recipe.learning_rate / tuned.recipe.learning_rate),
        )
        for tuned in known
        if tuned.combination != target
    ]
    near = sorted((n for n in found if n.distance <= MAX_DISTANCE), key=lambda n: n.distance)
    return near[:MAX_NEIGHBOURS]
