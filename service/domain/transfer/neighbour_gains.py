"""The gains of a tuned combination, rescaled from its recipe to another one.

A step of HAM has the gradient term lr x alpha and the shrinkage lr x beta. A configuration does
the same under two recipes where lr x alpha and lr x beta are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ham.client.records import SurfaceGrid
from ham.config import RECIPE_BASELINE, HamConfig, Recipe
from service.domain.transfer.similarity import TunedCombination

Array = NDArray[np.float64]
Rescaling = Callable[[HamConfig, Recipe, Recipe], HamConfig]
"""(configuration, its recipe, another recipe) -> the equivalent configuration under the other."""

_ZERO = 0.3, 3e-5
"""Coordinates of alpha = 0 and beta = 0 before the logarithm: below every value that has another
effect than zero."""


def rescale(ham_config: HamConfig, origin: Recipe, goal: Recipe) -> HamConfig:
    """Return the configuration that has the same effect under ``goal`` as under ``origin``."""
    ratio = origin.learning_rate / goal.learning_rate
    return HamConfig(alpha=ham_config.alpha * ratio, beta=ham_config.beta * ratio)


def gains_of(
    tuned: TunedCombination, goal: Recipe, ham_configs: Sequence[HamConfig], rescaling: Rescaling
) -> Array:
    """Return a neighbour's gains over the recipe baseline, and their variances.

    Args:
        tuned: the neighbour.
        goal: recipe that the configurations are for.
        ham_configs: the configurations.
        rescaling: from ``goal`` to the neighbour's recipe.

    Returns:
        Gains (fractions of validation accuracy) and variances. Shape: (2, len(ham_configs)).
    """
    rescaled = [rescaling(ham_config, goal, tuned.recipe) for ham_config in ham_configs]
    mean, deviation = _SurfaceTable(tuned.surface).read([*rescaled, RECIPE_BASELINE])
    return np.array([mean[:-1] - mean[-1], deviation[:-1] ** 2 + deviation[-1] ** 2])


class _SurfaceTable:
    """Interpolates a surface's grid; outside of the grid the value at its edge counts."""

    def __init__(self, surface: SurfaceGrid) -> None:
        self._axes = _coordinates(surface.alphas, 0), _coordinates(surface.betas, 1)
        self._values = np.array([surface.mean, surface.deviation])

    def read(self, ham_configs: Sequence[HamConfig]) -> Array:
        """Return means and deviations. Shape: (2, len(ham_configs))."""
        alphas, betas = [c.alpha for c in ham_configs], [c.beta for c in ham_configs]
        rows, down = _between(self._axes[0], _coordinates(alphas, 0))
        columns, right = _between(self._axes[1], _coordinates(betas, 1))
        table = self._values
        upper = table[:, rows, columns] * (1 - right) + table[:, rows, columns + 1] * right
        lower = table[:, rows + 1, columns] * (1 - right) + table[:, rows + 1, columns + 1] * right
        read: Array = upper * (1 - down) + lower * down
        return read


def _coordinates(values: Sequence[float], axis: int) -> Array:
    return np.log(np.maximum(values, _ZERO[axis]))


def _between(axis: Array, coordinates: Array) -> tuple[NDArray[np.intp], Array]:
    """Return the grid interval of each coordinate, and the share of the interval before it."""
    coordinates = np.clip(coordinates, axis[0], axis[-1])
    left = np.clip(np.searchsorted(axis, coordinates, side="right") - 1, 0, len(axis) - 2)
    return left, (coordinates - axis[left]) / (axis[left + 1] - axis[left])
