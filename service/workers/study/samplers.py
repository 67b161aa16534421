"""Optuna's samplers by name. To add one, add it here and to ``Sampler`` in the records.

A sampler is rebuilt for every trial from a seed and the history in Optuna's storage, so the next
runner of a study proposes what the last one would have proposed.
"""

from __future__ import annotations

import itertools
import math
import random
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

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
    """Build the sampler that proposes the trial with this number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return SAMPLERS[plan.sampler].build(plan, number)


def enqueued_points(plan: Plan, branch: Branch) -> list[dict[str, Any]]:
    """Return the points that a plan's sampler wants to be tried after the baselines."""
    return SAMPLERS[plan.sampler].enqueued(plan, branch)


def _tpe(plan: Plan, number: int) -> BaseSampler:
    """Multivariate TPE; running trials count as poor, so that parallel proposals spread out.

    It learns from full-length trials, and from stopped ones as worse than all of those.
    """
    return TPESampler(seed=plan.sampler_seed + number, constant_liar=True)


def _gp(plan: Plan, number: int) -> BaseSampler:
    """A Gaussian process; it learns from full-length trials only."""
    return GPSampler(seed=plan.sampler_seed + number, deterministic_objective=False)


def _cmaes(plan: Plan, number: int) -> BaseSampler:
    """CMA-ES; it learns from full-length trials only."""
    return CmaEsSampler(seed=plan.sampler_seed + number, warn_independent_sampling=False)


def _random(plan: Plan, number: int) -> BaseSampler:
    return RandomSampler(seed=plan.sampler_seed + number)


def _quasi_random(plan: Plan, number: int) -> BaseSampler:
    """One scrambled Sobol sequence, with the same seed for all trials of a study."""
    return QMCSampler(
        seed=plan.sampler_seed,
        scramble=True,
        independent_sampler=_random(plan, number),
        warn_asynchronous_seeding=False,
        warn_independent_sampling=False,
    )


def _nsga2(plan: Plan, number: int) -> BaseSampler:
    """NSGA-II; each trial's generation and its parents are in Optuna's storage.

    Children lie between and around their parents: a crossover that swaps values would make many
    of them copies of a parent.

    Reference: Eshelman and Schaffer, Real-coded genetic algorithms and interval-schemata, 1993.
    """
    return NSGAIISampler(
        population_size=generation_size(plan),
        crossover=BLXAlphaCrossover(),
        crossover_prob=1.0,
        seed=plan.sampler_seed + number,
    )


def grid(plan: Plan, branch: Branch = "ham") -> list[dict[str, Any]]:
    """Return the points of an even grid over a branch's axes, shuffled.

    The grid has as many points as fit into the branch's trials besides the baselines. The lowest
    point of an axis that includes zero means zero. Every choice is combined with every point.
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
    """Return the largest whole number whose ``degree``-th power is at most ``number``."""
    return next(root for root in itertools.count() if (root + 1) ** degree > number)


def _between(low: float, high: float, share: float) -> float:
    """Return the value at a share, 0 to 1, of the way from low to high, on a log scale."""
    return float(min(high, low * (high / low) ** share))


class SamplerSpec(NamedTuple):
    """How trials of a sampler are proposed.

    Attributes:
        build: makes the sampler of the trial with a number.
        enqueued: names the points of a branch to try after the baselines, before the sampler
            proposes any.
    """

    build: Callable[[Plan, int], BaseSampler]
    enqueued: Callable[[Plan, Branch], list[dict[str, Any]]] = lambda plan, branch: []


SAMPLERS: dict[Sampler, SamplerSpec] = {
    "tpe": SamplerSpec(_tpe),
    "gp": SamplerSpec(_gp),
    "cmaes": SamplerSpec(_cmaes),
    "random": SamplerSpec(_random),
    "quasi_random": SamplerSpec(_quasi_random),
    "grid": SamplerSpec(_random, grid),
    "nsga2": SamplerSpec(_nsga2),
}
