"""Optuna's samplers by name, each rebuilt for every trial from a seed and the stored history."""

from __future__ import annotations

import itertools
import math
import random
import warnings
from collections.abc import Callable
from typing import Any

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.samplers.nsgaii import BLXAlphaCrossover

from ham.client.records import Plan, Sampler
from search_spaces import Branch
from service.domain.search.objectives import generation_size


def sampler_for(plan: Plan, number: int) -> BaseSampler:
    """Build the sampler that proposes the trial of this number.

    TPE is multivariate and counts trials under way as poor (constant liar), so that parallel
    proposals spread out. GP, CMA-ES and TPE learn from full-length trials; TPE alone also takes
    stopped ones, as worse than all of those. The generations of NSGA-II are in Optuna's storage:
    each trial knows its own, and the study the parents of each.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if plan.sampler == "nsga2":
            return _nsga2(plan.sampler_seed, number, generation_size(plan))
        return _SAMPLERS[plan.sampler](plan.sampler_seed, number)


def _tpe(seed: int, number: int) -> BaseSampler:
    return TPESampler(seed=seed + number, constant_liar=True)


def _gp(seed: int, number: int) -> BaseSampler:
    return GPSampler(seed=seed + number, deterministic_objective=False)


def _cmaes(seed: int, number: int) -> BaseSampler:
    return CmaEsSampler(seed=seed + number, warn_independent_sampling=False)


def _random(seed: int, number: int) -> BaseSampler:
    return RandomSampler(seed=seed + number)


def _quasi_random(seed: int, number: int) -> BaseSampler:
    """One scrambled Sobol sequence: its seed is the same for all trials of a study."""
    return QMCSampler(
        seed=seed,
        scramble=True,
        independent_sampler=RandomSampler(seed=seed + number),
        warn_asynchronous_seeding=False,
        warn_independent_sampling=False,
    )


def _nsga2(seed: int, number: int, generation: int) -> BaseSampler:
    """Children lie between and around their parents: of swapped values many are mere copies.

    Reference: Eshelman and Schaffer, Real-coded genetic algorithms and interval-schemata, 1993.
    """
    return NSGAIISampler(
        population_size=generation,
        crossover=BLXAlphaCrossover(),
        crossover_prob=1.0,
        seed=seed + number,
    )


_SAMPLERS: dict[Sampler, Callable[[int, int], BaseSampler]] = {
    "tpe": _tpe,
    "gp": _gp,
    "cmaes": _cmaes,
    "random": _random,
    "quasi_random": _quasi_random,
    "grid": _random,  # once the grid, which is queued, has been used up
}


def grid(plan: Plan, *, branch: Branch = "ham") -> list[dict[str, Any]]:
    """Return the points of an even grid on a branch's axes that fills its trials, shuffled.

    The baselines take their share of the trials. The lowest point of an axis that holds zero
    means zero. Every choice is combined with every point.
    """
    axes, choices = plan.space.axes(branch=branch), plan.space.choices(branch=branch)
    chosen = math.prod(map(len, choices.values()))
    side = max(2, _root((plan.budget.trials - len(plan.baselines)) // chosen, len(axes)))
    values = [
        [axis.floor, *(_between(axis.low, axis.high, k / (side - 2)) for k in range(side - 1))]
        if axis.zero_share and side > 2
        else [_between(axis.floor, axis.high, k / (side - 1)) for k in range(side)]
        for axis in axes.values()
    ]
    names = [*axes, *choices]
    every = itertools.product(*values, *choices.values())
    points = [dict(zip(names, point, strict=True)) for point in every]
    random.Random(plan.sampler_seed).shuffle(points)
    return points


def _root(number: int, degree: int) -> int:
    """Return the largest whole number whose power is at most another one."""
    return next(root for root in itertools.count() if (root + 1) ** degree > number)


def _between(low: float, high: float, place: float) -> float:
    return float(min(high, low * (high / low) ** place))
