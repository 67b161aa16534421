"""What tuned combinations let expect of one that has not been tuned.

At each configuration the neighbours' gains over the recipe baseline, rescaled to the target's
recipe, are pooled by a Bayesian random-effects meta-analysis. Farther neighbours scatter more, and
so count less. The expectation for a *further* combination is the predictive distribution. It
contains how much combinations differ from each other, which does not shrink with their number.

References: Higgins, Thompson and Spiegelhalter, A re-evaluation of random-effects meta-analysis,
JRSS A 2009; Roever, Bayesian random-effects meta-analysis, Journal of Statistical Software 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from ham.client.records import Prior
from ham.config import RECIPE_BASELINE, Combination, HamConfig, Recipe
from search_spaces import SearchSpace
from service.domain.search.candidates import grid, levels
from service.domain.transfer.neighbour_gains import Rescaling, gains_of, rescale
from service.domain.transfer.similarity import (
    MIN_NEIGHBOURS,
    Neighbour,
    TunedCombination,
    neighbours,
)

Array = NDArray[np.float64]

PORTFOLIO_SIZE = 4
_PRIOR_LEVELS = 12
_PRIOR_DIGITS = 5
_CAUTION = 0.84
"""Standard deviations below the mean at which configurations are compared: four in five of the
predicted gains lie above."""
_TYPICAL = 0.01
"""Scale of the half-normal prior of the deviation between combinations: one point of accuracy."""
_BETWEEN = np.linspace(0.02, 4, 40) * _TYPICAL


@dataclass(frozen=True)
class Transfer:
    """What is expected of a combination that has not been tuned.

    Attributes:
        ham_config: the configuration with the best cautious bound; the recipe baseline where no
            configuration is expected to gain.
        gain: its expected gain in validation accuracy over the recipe baseline, a fraction.
        low: lower end of the 95 % prediction interval of that gain.
        high: upper end of it.
        portfolio: configurations to try in this order, ``ham_config`` first.
        neighbours: the combinations that were pooled, the nearest first.
    """

    ham_config: HamConfig
    gain: float
    low: float
    high: float
    portfolio: tuple[HamConfig, ...]
    neighbours: tuple[Neighbour, ...]


def transfer(
    target: Combination,
    recipe: Recipe,
    space: SearchSpace,
    known: Sequence[TunedCombination],
    rescaling: Rescaling = rescale,
) -> Transfer | None:
    """Return what is expected of a combination, or None where it has too few neighbours.

    Args:
        target: the combination; it is not its own neighbour.
        recipe: its recipe.
        space: what a study of it would search.
        known: tuned combinations.
        rescaling: of configurations from one recipe to another.
    """
    near = neighbours(target, recipe, known)
    if len(near) < MIN_NEIGHBOURS:
        return None
    ham_configs = grid(space)
    gains = np.array([gains_of(n.tuned, recipe, ham_configs, rescaling) for n in near])
    pooled = _pool(gains[:, 0], gains[:, 1], np.array([n.distance for n in near]))
    best = int(np.argmax(pooled.mean - _CAUTION * pooled.deviation))
    if pooled.mean[best] <= 0:
        return Transfer(RECIPE_BASELINE, 0.0, 0.0, 0.0, (RECIPE_BASELINE,), tuple(near))
    half = student.ppf(0.975, len(near) - 1) * pooled.deviation[best]
    return Transfer(
        ham_config=ham_configs[best],
        gain=float(pooled.mean[best]),
        low=float(pooled.mean[best] - half),
        high=float(pooled.mean[best] + half),
        portfolio=tuple(ham_configs[index] for index in _portfolio(gains[:, 0], best)),
        neighbours=tuple(near),
    )


def prior(
    target: Combination, recipe: Recipe, space: SearchSpace, known: Sequence[TunedCombination]
) -> Prior | None:
    """Return the gains that :func:`transfer` expects, on a grid coarse enough to be stored.

    None where the combination has too few neighbours.
    """
    near = neighbours(target, recipe, known)
    if len(near) < MIN_NEIGHBOURS:
        return None
    alphas, betas = (levels(axis, _PRIOR_LEVELS) for axis in (space.alpha, space.beta))
    ham_configs = [HamConfig(alpha=alpha, beta=beta) for alpha, beta in product(alphas, betas)]
    gains = np.array([gains_of(n.tuned, recipe, ham_configs, rescale) for n in near])
    pooled = _pool(gains[:, 0], gains[:, 1], np.array([n.distance for n in near]))
    table = pooled.mean.reshape(len(alphas), len(betas))
    return Prior(
        neighbours=tuple(n.tuned.combination.slug for n in near),
        alphas=alphas,
        betas=betas,
        gains=tuple(map(tuple, table.round(_PRIOR_DIGITS).tolist())),
    )


@dataclass(frozen=True)
class _Pooled:
    """Mean and standard deviation of a further combination's gain at each configuration."""

    mean: Array
    deviation: Array


def _pool(gains: Array, variances: Array, distances: Array) -> _Pooled:
    """Pool gains into mean and deviation of a further combination.

    The deviation between combinations is integrated over and not estimated: with a handful of
    combinations a single estimate is too often zero, and the interval too narrow.

    Args:
        gains: of the neighbours. Shape: (neighbours, configurations).
        variances: of the gains. Shape: (neighbours, configurations).
        distances: of the neighbours. Shape: (neighbours,).
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
    """Return the indices of the portfolio.

    Each index after ``first`` raises the mean over the neighbours of their best gain most.
    """
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
