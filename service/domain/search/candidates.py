"""Which settings deserve a closer look: the finalists, chosen on the surface."""

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
"""Levels of the grid on each axis, beside zero where the axis has it."""
_SPREAD = 11
"""Two to this power are the points that stand for a space of more than two axes."""
_APART = 0.12


def levels(axis: LogRange, count: int = LEVELS) -> tuple[float, ...]:
    """Return the values of an axis that stand for all: zero where it has it, then log-spaced."""
    spaced = np.geomspace(axis.low, axis.high, count)
    zero = (0.0,) if axis.zero_share > 0 else ()
    return zero + tuple(axis.decode(float(value)) for value in spaced)


@cache
def grid(space: SearchSpace, *, branch: Branch = "ham") -> tuple[HamConfig, ...]:
    """Return settings that stand for all: all pairs of levels, or as many spread points of more.

    Args:
        space: the space.
        branch: settings with HAM, or those without it.
    """
    axes, choices = space.axes(branch=branch), space.choices(branch=branch)
    if len(axes) + len(choices) > 2:
        return _spread(space, axes, choices)
    points = product(*(levels(axis) for axis in axes.values()))
    fields: Iterable[dict[str, Any]] = (dict(zip(axes, point, strict=True)) for point in points)
    return tuple(space.with_schedules(replace(RECIPE_BASELINE, **values)) for values in fields)


def _spread(
    space: SearchSpace, axes: Mapping[str, LogRange], choices: Mapping[str, Sequence[Any]]
) -> tuple[HamConfig, ...]:
    """Return the settings of a scrambled Sobol sequence, always the same."""

    def setting(coordinates: Sequence[float]) -> HamConfig:
        at = dict(zip([*axes, *choices], coordinates, strict=True))
        sampled: dict[str, Any] = {
            name: axis.floor * (axis.high / axis.floor) ** at[name] for name, axis in axes.items()
        }
        for name, values in choices.items():
            sampled[name] = values[int(at[name] * len(values))]
        return space.decode(sampled)

    rows = qmc.Sobol(len(axes) + len(choices), rng=0).random_base2(_SPREAD)
    return tuple(map(setting, rows.tolist()))


def propose_candidates(
    space: SearchSpace,
    surface: Surface | None,
    tried: Sequence[HamConfig],
    count: int,
    optimism: float = 0.0,
    avoid: Collection[HamConfig] = (),
    branch: Branch = "ham",
) -> tuple[HamConfig, ...]:
    """Return the best settings, all with HAM or all without it, that differ from each other.

    A setting that lies near a better one waits until all others had their turn: the seeds are
    better spent on telling real alternatives apart.

    Args:
        space: the space.
        surface: which tells what is to be expected of a grid and of what was tried; None where the
            runs are too few for one.
        tried: what gave a result, best first; without a surface it is all there is to choose from.
        count: at most so many.
        optimism: standard deviations that are added to what the surface expects, so that a
            setting of which little is known gets its chance.
        avoid: settings that are left out.
        branch: settings with HAM, or those without it.
    """
    more = () if surface is None else grid(space, branch=branch)
    settings = [
        s for s in dict.fromkeys([*tried, *more]) if s.is_baseline == (branch == "baseline")
    ]
    if surface is not None and settings:
        bound = surface.mean(settings) + optimism * surface.deviation(settings)
        settings = [settings[index] for index in np.argsort(-bound, kind="stable")]
    return _apart(space, [setting for setting in settings if setting not in avoid], count)


def _apart(space: SearchSpace, settings: Iterable[HamConfig], count: int) -> tuple[HamConfig, ...]:
    chosen: list[HamConfig] = []
    near: list[HamConfig] = []
    for setting in settings:
        if len(chosen) == count:
            break
        is_near = any(_close(space, setting, other) for other in chosen)
        (near if is_near else chosen).append(setting)
    return tuple((chosen + near)[:count])


def _close(space: SearchSpace, one: HamConfig, other: HamConfig) -> bool:
    coordinates = zip(space.coordinate(one), space.coordinate(other), strict=True)
    return all(abs(here - there) < _APART for here, there in coordinates)
