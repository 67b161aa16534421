"""What tuned combinations say about one that nobody has tuned.

Each neighbour brings its response surface. Its settings are first carried into the target's
recipe: the gradient term of a step is lr x alpha and its shrinkage lr x beta, so a setting does
the same where lr x alpha and lr x beta are the same.

At each setting the neighbours' gains over no HAM are then pooled by a Bayesian random-effects
meta-analysis, in which far neighbours scatter more and so count less. What is expected of a
*further* combination is its predictive distribution: it holds how far combinations differ from
each other, which does not shrink with their number.

References: Higgins, Thompson and Spiegelhalter, A re-evaluation of random-effects meta-analysis,
JRSS A 2009; Roever, Bayesian random-effects meta-analysis, Journal of Statistical Software 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from ham.catalog import SPARSIFIERS
from ham.client.records import Prior, SurfaceGrid
from ham.config import RECIPE_BASELINE, Combination, HamConfig, Recipe
from search_spaces import SearchSpace
from service.domain.search.candidates import grid, levels

Array = NDArray[np.float64]
Carry = Callable[[HamConfig, Recipe, Recipe], HamConfig]

FEWEST_NEIGHBOURS = 3
"""How far combinations differ cannot be told from fewer."""
MOST_NEIGHBOURS = 12
FARTHEST = 2.5
"""Combinations at a greater distance have no say."""
PORTFOLIO_SIZE = 4
_PRIOR_LEVELS = 12
_PRIOR_DIGITS = 5
_CAUTION = 0.84
"""Settings are compared so many standard deviations below their mean: four in five lie above."""
_TYPICAL = 0.01
"""Combinations are presumed to differ by about a point: half-normal prior of their deviation."""
_BETWEEN = np.linspace(0.02, 4, 40) * _TYPICAL
_ZERO = 0.3, 3e-5
"""Where alpha = 0 and beta = 0 lie on the logarithmic axes: below all that differs from them."""


@dataclass(frozen=True)
class Known:
    """A tuned combination: what was trained with which recipe, and the surface found."""

    combination: Combination
    recipe: Recipe
    surface: SurfaceGrid


@dataclass(frozen=True)
class Neighbour:
    """A combination that has a say, and how far it is."""

    known: Known
    distance: float


@dataclass(frozen=True)
class Transfer:
    """What is expected of a combination that nobody has tuned.

    Attributes:
        setting: the one with the best cautious bound; no HAM where none promises a gain.
        gain: expected validation accuracy over no HAM, a fraction.
        low, high: 95 % prediction interval of that gain for this combination.
        portfolio: settings to try in order, the first being ``setting``.
        neighbours: nearest first.
    """

    setting: HamConfig
    gain: float
    low: float
    high: float
    portfolio: tuple[HamConfig, ...]
    neighbours: tuple[Neighbour, ...]


def distance(one: Combination, other: Combination, lr_ratio: float = 1.0) -> float:
    """Return how far two combinations are; 0 only where they are the same.

    1 for another model, 1 for another sparsifier (0.5 within a family), 1 for another dataset,
    2 for another optimizer; a tenfold density, and a tenfold learning rate, are 0.5 each.
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


def neighbours(target: Combination, recipe: Recipe, known: Sequence[Known]) -> list[Neighbour]:
    """Return the combinations that have a say on another one, nearest first."""
    found = [
        Neighbour(
            row,
            distance(target, row.combination, recipe.learning_rate / row.recipe.learning_rate),
        )
        for row in known
        if row.combination != target
    ]
    near = sorted((n for n in found if n.distance <= FARTHEST), key=lambda n: n.distance)
    return near[:MOST_NEIGHBOURS]


def transfer(
    target: Combination,
    recipe: Recipe,
    space: SearchSpace,
    known: Sequence[Known],
    carry: Carry | None = None,
) -> Transfer | None:
    """Return what is expected of a combination, or None where too few neighbours are near.

    Args:
        target: the combination; it is not its own neighbour.
        recipe: its recipe.
        space: what a study of it would search.
        known: tuned combinations.
        carry: how a setting goes from one recipe to another; :func:`carried` if left out.
    """
    near = neighbours(target, recipe, known)
    if len(near) < FEWEST_NEIGHBOURS:
        return None
    settings = grid(space)
    gains = np.array([_gains(n.known, recipe, settings, carry or carried) for n in near])
    pooled = _pool(gains[:, 0], gains[:, 1], np.array([n.distance for n in near]))
    best = int(np.argmax(pooled.mean - _CAUTION * pooled.deviation))
    if pooled.mean[best] <= 0:
        return Transfer(RECIPE_BASELINE, 0.0, 0.0, 0.0, (RECIPE_BASELINE,), tuple(near))
    half = student.ppf(0.975, len(near) - 1) * pooled.deviation[best]
    return Transfer(
        setting=settings[best],
        gain=float(pooled.mean[best]),
        low=float(pooled.mean[best] - half),
        high=float(pooled.mean[best] + half),
        portfolio=tuple(settings[i] for i in _portfolio(gains[:, 0], best)),
        neighbours=tuple(near),
    )


def prior(
    target: Combination, recipe: Recipe, space: SearchSpace, known: Sequence[Known]
) -> Prior | None:
    """Return the gains that neighbours let expect of a combination, or None with too few of them.

    It is what :func:`transfer` expects, on a grid coarse enough to be kept with a study.
    """
    near = neighbours(target, recipe, known)
    if len(near) < FEWEST_NEIGHBOURS:
        return None
    alphas, betas = (levels(axis, _PRIOR_LEVELS) for axis in (space.alpha, space.beta))
    settings = [HamConfig(alpha=alpha, beta=beta) for alpha, beta in product(alphas, betas)]
    gains = np.array([_gains(n.known, recipe, settings, carried) for n in near])
    pooled = _pool(gains[:, 0], gains[:, 1], np.array([n.distance for n in near]))
    table = pooled.mean.reshape(len(alphas), len(betas))
    return Prior(
        neighbours=tuple(n.known.combination.slug for n in near),
        alphas=alphas,
        betas=betas,
        gains=tuple(map(tuple, table.round(_PRIOR_DIGITS).tolist())),
    )


def carried(setting: HamConfig, origin: Recipe, goal: Recipe) -> HamConfig:
    """Return the setting that does under one recipe what ``setting`` does under another."""
    ratio = origin.learning_rate / goal.learning_rate
    return HamConfig(alpha=setting.alpha * ratio, beta=setting.beta * ratio)


def _gains(known: Known, goal: Recipe, settings: Sequence[HamConfig], carry: Carry) -> Array:
    """Return a neighbour's gains over no HAM and their variances. Shape: (2, settings)."""
    back = [carry(setting, goal, known.recipe) for setting in settings]
    read = _Table(known.surface)
    mean, deviation = read([*back, RECIPE_BASELINE])
    return np.array([mean[:-1] - mean[-1], deviation[:-1] ** 2 + deviation[-1] ** 2])


class _Table:
    """Reads a surface's grid between its points, and at its edge beyond it."""

    def __init__(self, surface: SurfaceGrid) -> None:
        self._axes = _place(surface.alphas, 0), _place(surface.betas, 1)
        self._values = np.array([surface.mean, surface.deviation])

    def __call__(self, settings: Sequence[HamConfig]) -> Array:
        rows, down = _between(self._axes[0], _place([s.alpha for s in settings], 0))
        columns, right = _between(self._axes[1], _place([s.beta for s in settings], 1))
        table = self._values
        upper = table[:, rows, columns] * (1 - right) + table[:, rows, columns + 1] * right
        lower = table[:, rows + 1, columns] * (1 - right) + table[:, rows + 1, columns + 1] * right
        read: Array = upper * (1 - down) + lower * down
        return read


def _place(values: Sequence[float], axis: int) -> Array:
    return np.log(np.maximum(values, _ZERO[axis]))


def _between(axis: Array, places: Array) -> tuple[NDArray[np.intp], Array]:
    places = np.clip(places, axis[0], axis[-1])
    left = np.clip(np.searchsorted(axis, places, side="right") - 1, 0, len(axis) - 2)
    return left, (places - axis[left]) / (axis[left + 1] - axis[left])


@dataclass(frozen=True)
class _Pooled:
    """What is expected of a further combination at each setting."""

    mean: Array
    deviation: Array


def _pool(gains: Array, variances: Array, distances: Array) -> _Pooled:
    """Pool gains (neighbours x settings) into mean and deviation of a further combination.

    How much combinations differ is not estimated but averaged over: with a handful of them, a
    single estimate is too often zero, and the interval too narrow.
    """
    likelihoods, means, spreads = [], [], []
    for between in _BETWEEN:
        scatter = variances + between**2 * (1 + distances[:, None])
        total = (1 / scatter).sum(axis=0)
        mean = (gains / scatter).sum(axis=0) / total
        misfit = ((gains - mean) ** 2 / scatter).sum(axis=0)
        prior = (between / _TYPICAL) ** 2
        likelihoods.append(-(np.log(scatter).sum(axis=0) + np.log(total) + misfit + prior) / 2)
        means.append(mean)
        spreads.append(between**2 + 1 / total)
    log = np.array(likelihoods)
    share = np.exp(log - log.max(axis=0))
    share /= share.sum(axis=0)
    mean = (share * means).sum(axis=0)
    variance = (share * (spreads + (means - mean) ** 2)).sum(axis=0)
    return _Pooled(mean, np.sqrt(variance))


def _portfolio(gains: Array, first: int) -> list[int]:
    """Add, one by one, the setting that raises the mean of the best gains most."""
    chosen = [first]
    best = gains[:, first]
    while len(chosen) < PORTFOLIO_SIZE:
        raised = np.maximum(gains, best[:, None]).mean(axis=0)
        following = int(np.argmax(raised))
        if raised[following] <= best.mean() + 1e-9:
            break
        chosen.append(following)
        best = np.maximum(best, gains[:, following])
    return chosen
