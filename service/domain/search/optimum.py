"""The surface around a configuration: near-optimal region, sensitivity, chance of being the best.

Reference for the sensitivity: Hutter, Hoos and Leyton-Brown, An efficient approach for assessing
hyperparameter importance, ICML 2014 (functional ANOVA), here on the surface's own grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ham.client.records import (
    AxisOptimum,
    Expectation,
    Optimum,
    ScheduleOptimum,
    SurfaceGrid,
    TriedConfiguration,
)
from ham.config import RECIPE_BASELINE, HamConfig, Schedule
from search_spaces import LogRange, SearchSpace
from service.domain.search.candidates import levels
from service.domain.search.kernel import Array
from service.domain.search.space_boundary import boundary_hit
from service.domain.search.surface import Observation, Surface

_SAMPLES = 4000
"""Surfaces drawn from the posterior for the chance of being the best."""
_NORMAL_95 = 1.959964
_COARSE = 7
"""Levels of an axis, beside zero, on a grid with more than two axes."""
Box = tuple[slice, slice]


def describe_surface(
    space: SearchSpace,
    surface: Surface,
    seen: Sequence[Observation],
    candidate: HamConfig,
    baseline: HamConfig = RECIPE_BASELINE,
) -> tuple[Optimum, SurfaceGrid]:
    """Describe the surface around a candidate.

    Args:
        space: the space that was searched.
        surface: fitted to ``seen``.
        seen: results of the runs.
        candidate: the configuration that is described.
        baseline: the configuration without HAM that the expected gain is over.

    Returns:
        The optimum, and the surface on a grid over alpha and beta, all else as in the candidate.
    """
    axes = _with(levels(space.alpha), candidate.alpha), _with(levels(space.beta), candidate.beta)
    ham_configs = [replace(candidate, alpha=alpha, beta=beta) for alpha, beta in product(*axes)]
    shape = len(axes[0]), len(axes[1])
    mean = surface.mean(ham_configs).reshape(shape)
    error = float(surface.deviation([candidate])[0])
    here = axes[0].index(candidate.alpha), axes[1].index(candidate.beta)
    box = largest_box(mean >= mean[here] - error, here)
    shares = variance_shares(_on_all_axes(space, surface, candidate) if space.tune else mean)
    near = {"alpha": axes[0][box[0]], "beta": axes[1][box[1]]}
    for name in space.multiples:
        near[name] = _near(space, surface, candidate, name, error)
    importance = dict(zip([*space.axes(), *space.tuned_schedules], shares, strict=False))
    around: dict[str, Any] = {
        name: _axis(surface, space, candidate, name, near[name], importance[name])
        for name in space.axes()
    }
    for schedule in space.tuned_schedules:
        around[schedule] = _schedule(surface, space, candidate, schedule, importance[schedule])
    optimum = Optimum(
        runs=sum(each.counts_fully for each in seen),
        **around,
        interaction=shares[-1],
        best_probability=_best_probability(surface, seen, candidate),
        standard_error=error,
        expected_gain=_expected_gain(surface, candidate, baseline),
    )
    grid = SurfaceGrid(
        alphas=axes[0],
        betas=axes[1],
        mean=_rounded(mean),
        deviation=_rounded(surface.deviation(ham_configs).reshape(shape)),
        near_optimal=round(float(mean[here]) - error, 5),
        candidate=candidate,
        tried=_tried(seen),
    )
    return optimum, grid


def largest_box(inside: NDArray[np.bool_], here: tuple[int, int]) -> Box:
    """Return the box with the most cells that contains ``here`` and lies inside a region."""
    best, size = (slice(here[0], here[0] + 1), slice(here[1], here[1] + 1)), 1
    for top in range(here[0], -1, -1):
        if not inside[top, here[1]]:
            break
        columns = inside[top : here[0] + 1].all(axis=0)
        for bottom in range(here[0], len(inside)):
            columns = columns & inside[bottom]
            if not columns[here[1]]:
                break
            left, right = _run_around(columns, here[1])
            cells = (bottom + 1 - top) * (right - left)
            if cells > size:
                best, size = (slice(top, bottom + 1), slice(left, right)), cells
    return best


def _run_around(columns: NDArray[np.bool_], here: int) -> tuple[int, int]:
    outside = np.flatnonzero(~columns)
    left = outside[outside < here].max(initial=-1) + 1
    right = outside[outside > here].min(initial=len(columns))
    return int(left), int(right)


def variance_shares(mean: Array) -> tuple[float, ...]:
    """Return shares of a surface's variance on a grid: of each axis alone, then of the rest."""
    total = float(mean.var())
    if total == 0:
        return (0.0,) * (mean.ndim + 1)
    left, shares = 1.0, []
    for axis in range(mean.ndim):
        others = tuple(other for other in range(mean.ndim) if other != axis)
        effect = mean.mean(axis=others) - mean.mean()
        shares.append(float(effect.var()) / total)
        left -= shares[-1]
    return (*shares, max(0.0, left))


def _on_all_axes(space: SearchSpace, surface: Surface, candidate: HamConfig) -> Array:
    """Return the surface on a coarse grid over all axes and schedules of the space."""
    axes: dict[str, Sequence[Any]] = {
        name: levels(axis, _COARSE) for name, axis in space.axes().items()
    }
    axes |= space.choices()
    points = [dict(zip(axes, point, strict=True)) for point in product(*axes.values())]
    ham_configs = [replace(candidate, **values) for values in points]
    return surface.mean(ham_configs).reshape([len(axis) for axis in axes.values()])


def _near(
    space: SearchSpace, surface: Surface, candidate: HamConfig, name: str, error: float
) -> tuple[float, ...]:
    """Return the near-optimal levels of one axis, all else as in the candidate."""
    value = getattr(candidate, name)
    line = _with(levels(getattr(space, name)), value)
    mean = surface.mean([_varied(candidate, name, level) for level in line])
    here = line.index(value)
    left, right = _run_around(mean >= mean[here] - error, here)
    return line[left:right]


def _axis(
    surface: Surface,
    space: SearchSpace,
    candidate: HamConfig,
    name: str,
    near: Sequence[float],
    importance: float,
) -> AxisOptimum:
    axis: LogRange = getattr(space, name)
    value = getattr(candidate, name)
    halved, doubled = (_change(surface, axis, candidate, name, value * by) for by in (0.5, 2.0))
    hit = boundary_hit(axis, near[0], near[-1])
    return AxisOptimum(
        low=near[0],
        high=near[-1],
        importance=importance,
        change_if_halved=halved,
        change_if_doubled=doubled,
        edge=hit and hit.side,
        extension=hit and hit.extension,
    )


def _schedule(
    surface: Surface, space: SearchSpace, candidate: HamConfig, name: str, importance: float
) -> ScheduleOptimum:
    own = getattr(candidate, name)
    others = [schedule for schedule in space.schedules if schedule != own]
    here, *there = surface.mean(
        [candidate, *(_varied(candidate, name, schedule) for schedule in others)]
    ).tolist()
    return ScheduleOptimum(
        importance=importance,
        change={other: mean - here for other, mean in zip(others, there, strict=True)},
    )


def _change(
    surface: Surface, axis: LogRange, candidate: HamConfig, name: str, value: float
) -> float | None:
    if not axis.low <= value <= axis.high:
        return None
    here, there = surface.mean([candidate, _varied(candidate, name, value)])
    return float(there - here)


def _varied(candidate: HamConfig, name: str, value: float | Schedule) -> HamConfig:
    changed: dict[str, Any] = {name: value}
    return replace(candidate, **changed)


def _best_probability(
    surface: Surface, seen: Sequence[Observation], candidate: HamConfig
) -> float:
    """Return the share of surfaces drawn from the posterior on which the candidate is the best."""
    others = dict.fromkeys(each.ham_config for each in seen if each.counts_fully)
    compared = [candidate, *(other for other in others if other != candidate)]
    draws = np.random.default_rng(0).multivariate_normal(
        surface.mean(compared), surface.covariance(compared), _SAMPLES, method="eigh"
    )
    return float(np.mean(draws.argmax(axis=1) == 0))


def _expected_gain(surface: Surface, candidate: HamConfig, baseline: HamConfig) -> Expectation:
    treated, without = surface.mean([candidate, baseline])
    covariance = surface.covariance([candidate, baseline])
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    mean, half = float(treated - without), _NORMAL_95 * float(np.sqrt(max(variance, 0.0)))
    return Expectation(mean=mean, low=mean - half, high=mean + half)


def _tried(seen: Sequence[Observation]) -> tuple[TriedConfiguration, ...]:
    accuracies: dict[HamConfig, list[float]] = {}
    for observation in seen:
        own = accuracies.setdefault(observation.ham_config, [])
        if observation.counts_fully and observation.accuracy is not None:
            own.append(observation.accuracy)
    return tuple(
        TriedConfiguration(
            setting=ham_config,
            runs=len(own),
            validation_accuracy=round(float(np.mean(own)), 5) if own else None,
        )
        for ham_config, own in accuracies.items()
    )


def _with(values: tuple[float, ...], value: float) -> tuple[float, ...]:
    return tuple(sorted({*values, value}))


def _rounded(table: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in table.round(5).tolist())
