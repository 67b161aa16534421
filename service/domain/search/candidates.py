"""Candidates: a grid over the search space, and the configurations proposed from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import qmc

from ham.config import RECIPE_BASELINE, HamConfig
from search_spaces import Branch, LogRange, SearchSpace

if TYPE_CHECKING:
    from service.domain.search.surface import Surface  # scikit-learn: the API starts without it

LEVELS = 31
"""Levels of the grid on each axis, beside zero where the axis contains it."""
_LOG2_POINTS = 11
"""Base-2 logarithm of the number of points of the grid with more than two axes."""
_NEAR = 0.12
"""Two configurations are near each other if no coordinate differs by this much or more."""


def levels(axis: LogRange, count: int = LEVELS) -> tuple[float, ...]:
    """Return ``count`` log-spaced values of an axis, after zero where the axis contains it."""
    spaced = np.geomspace(axis.low, axis.high, count)
    zero = (0.0,) if axis.zero_share > 0 else ()
    return zero + tuple(axis.decode(float(value)) for value in spaced)


@cache
def grid(space: SearchSpace, *, branch: Branch = "ham") -> tuple[HamConfig, ...]:
    """Return configurations that cover the space of one branch.

    Up to two axes give all combinations of their :data:`LEVELS` levels. More give 2048 points of a
    scrambled Sobol sequence, always the same ones.

    Args:
        space: the search space.
        branch: configurations with HAM, or those without it.
    """
    axes, choices = space.axes(branch=branch), space.choices(branch=branch)
    if len(axes) + len(choices) > 2:
        return _sobol_points(space, axes, choices)
    points = product(*(levels(axis) for axis in axes.values()))
    fields: Iterable[dict[str, Any]] = (dict(zip(axes, point, strict=True)) for point in points)
    return tuple(space.with_schedules(replace(RECIPE_BASELINE, **values)) for values in fields)


def _sobol_points(
    space: SearchSpace, axes: Mapping[str, LogRange], choices: Mapping[str, Sequence[Any]]
) -> tuple[HamConfig, ...]:
    def decoded(coordinates: Sequence[float]) -> HamConfig:
        at = dict(zip([*axes, *choices], coordinates, strict=True))
        sampled: dict[str, Any] = {
            name: axis.floor * (axis.high / axis.floor) ** at[name] for name, axis in axes.items()
        }
        for name, values in choices.items():
            sampled[name] = values[int(at[name] * len(values))]
        return space.decode(sampled)

    points = qmc.Sobol(len(axes) + len(choices), rng=0).random_base2(_LOG2_POINTS)
    return tuple(map(decoded, points.tolist()))


def propose_candidates(
    space: SearchSpace,
    surface: Surface | None,
    tried: Sequence[HamConfig],
    count: int,
    optimism: float = 0.0,
    avoid: Collection[HamConfig] = (),
    branch: Branch = "ham",
) -> tuple[HamConfig, ...]:
    """Return the best configurations of one branch that differ from each other, the best first.

    A configuration near a better one comes after all others: the seeds of the screening are better
    spent on real alternatives.

    Args:
        space: the search space.
        surface: expectations for the grid and for ``tried``; None with too few runs for a surface.
        tried: configurations with a result, the best first. Without a surface they are the only
            candidates.
        count: number of configurations, at most.
        optimism: standard deviations added to the surface's mean, so that configurations of which
            little is known get a chance.
        avoid: configurations that are left out.
        branch: configurations with HAM, or those without it.
    """
    more = () if surface is None else grid(space, branch=branch)
    known = dict.fromkeys([*tried, *more])
    candidates = [c for c in known if c.is_baseline == (branch == "baseline")]
    if surface is not None and candidates:
        bound = surface.mean(candidates) + optimism * surface.deviation(candidates)
        candidates = [candidates[index] for index in np.argsort(-bound, kind="stable")]
    return _near_ones_last(space, [c for c in candidates if c not in avoid], count)


def _near_ones_last(
    space: SearchSpace, candidates: Iterable[HamConfig], count: int
) -> tuple[HamConfig, ...]:
    chosen: list[HamConfig] = []
    near: list[HamConfig] = []
    for candidate in candidates:
        if len(chosen) == count:
            break
        is_near = any(_are_near(space, candidate, other) for other in chosen)
        (near if is_near else chosen).append(candidate)
    return tuple((chosen + near)[:count])


def _are_near(space: SearchSpace, one: HamConfig, other: HamConfig) -> bool:
    coordinates = zip(space.coordinate(one), space.coordinate(other), strict=True)
    return all(abs(here - there) < _NEAR for here, there in coordinates)
