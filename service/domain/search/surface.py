"""A smooth surface of validation accuracy over (log alpha, log beta, ...), fitted to noisy runs.

The best single run of a search is mostly lucky: with a hundred settings on a plateau, the seed's
noise decides which of them tops the list. A Gaussian process shares what neighbouring settings
have seen, so that settings are compared by what is to be expected of them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from scipy.interpolate import RegularGridInterpolator
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor

from ham.client.records import Prior, Run, RunState
from ham.config import HamConfig
from search_spaces import SearchSpace
from service.domain.search.kernel import LENGTH, MAIN, SEED, SHORTFALL, Array, RunKernel

FEWEST_RUNS = 5
"""With fewer full-length runs than this there is no surface to speak of."""

_FLOOR = 2.0
_JITTER = 1e-8
_PRIOR_WIDTH = {"length": 0.6}
"""Deviations of the log-normal priors, whose medians are the kernel's defaults; 1 if left out."""


class Observation(NamedTuple):
    """What a run says of its setting.

    Attributes:
        shortfall: share of the full length that was not trained, in [0, 1); 0 where it failed.
        accuracy: validation accuracy at the end, a fraction; None where it failed.
    """

    setting: HamConfig
    seed: int
    shortfall: float
    accuracy: float | None

    @property
    def counts_fully(self) -> bool:
        """True for a result of full length."""
        return self.accuracy is not None and self.shortfall == 0


def observations(runs: Iterable[Run]) -> tuple[Observation, ...]:
    """Return what ended runs say, in an order that does not depend on theirs.

    Equal settings and seeds give equal results, so of those only the longest counts: two studies
    that made the same run have not seen it twice.
    """
    longest: dict[tuple[HamConfig, int], Observation] = {}
    for run in runs:
        if (seen := _observation(run)) is not None:
            known = longest.setdefault((run.setting, run.seed), seen)
            longest[run.setting, run.seed] = min(known, seen, key=_preference)
    return tuple(sorted(longest.values(), key=_place_in_order))


def _observation(run: Run) -> Observation | None:
    if run.state == RunState.RUNNING:
        return None
    if run.state == RunState.FAILED or run.validation_accuracy is None:
        return Observation(run.setting, run.seed, 0.0, None)
    missing = 1 - run.epochs_done / run.epochs
    return Observation(run.setting, run.seed, missing, run.validation_accuracy)


def _preference(seen: Observation) -> tuple[bool, float]:
    return seen.accuracy is None, seen.shortfall


def _place_in_order(seen: Observation) -> tuple[float, float, int, str]:
    return seen.setting.alpha, seen.setting.beta, seen.seed, repr(seen.setting)


@lru_cache(maxsize=8)
def fitted(
    space: SearchSpace, seen: tuple[Observation, ...], prior: Prior | None = None
) -> Surface:
    """Return the surface of observations; the same ones are not fitted again.

    A prior counts only where the observations are more probable with it than without it.
    """
    own = Surface(space, seen)
    return own if prior is None else max(own, Surface(space, seen, prior), key=_evidence)


def _evidence(surface: Surface) -> float:
    return surface.evidence


class Surface:
    """The posterior of a Gaussian process over settings, at full length and over all seeds.

    Args:
        space: whose places are the inputs: sampled axes, scaled to [0, 1], and tuned schedules.
        seen: at least :data:`FEWEST_RUNS` of full length.
        prior: what is expected where nothing has been seen; the mean of all runs if left out.

    Attributes:
        evidence: logarithm of the observations' likelihood times the priors of the
            hyperparameters, to compare surfaces of the same observations.

    The hyperparameters are the most probable ones under weak log-normal priors. Accuracies far
    below the median, and runs that failed, count as a little below it: that a setting is poor
    keeps the surface down around it, but how far a run collapsed would drown the differences near
    the top.
    """

    def __init__(
        self, space: SearchSpace, seen: Sequence[Observation], prior: Prior | None = None
    ) -> None:
        self._space, self._prior = space, prior
        floor = _floor(np.array([row.accuracy for row in seen if row.counts_fully]))
        accuracies = np.array([max(row.accuracy or 0.0, floor) for row in seen])
        accuracies -= self._expected([row.setting for row in seen])
        self._centre = float(np.mean(accuracies))
        self._unit = float(np.std(accuracies)) or 1.0
        inputs = self._inputs(
            [row.setting for row in seen],
            [row.seed for row in seen],
            [row.shortfall for row in seen],
        )
        count = inputs.shape[1] - 2
        kernel = RunKernel(length=(LENGTH,) * count, main=(MAIN,) * count)
        optimizer = partial(_most_probable, kernel)
        process = GaussianProcessRegressor(kernel, alpha=_JITTER, optimizer=optimizer)
        with warnings.catch_warnings():  # a bound that is met is an answer, not a mistake
            warnings.simplefilter("ignore", ConvergenceWarning)
            process.fit(inputs, (accuracies - self._centre) / self._unit)
        self.evidence = float(process.log_marginal_likelihood_value_) - len(seen) * math.log(
            self._unit
        )
        self._inputs_seen = inputs
        self._kernel: RunKernel = process.kernel_
        self._weights: Array = process.alpha_
        self._factor: Array = process.L_

    def mean(self, settings: Sequence[HamConfig]) -> Array:
        """Return the expected validation accuracy of each setting, a fraction."""
        across = self._kernel.surface(self._inputs(settings), self._inputs_seen)
        mean: Array = self._centre + self._unit * (across @ self._weights)
        return mean + self._expected(settings)

    def deviation(self, settings: Sequence[HamConfig]) -> Array:
        """Return the standard deviation of each expectation, a fraction."""
        inputs = self._inputs(settings)
        explained = self._explained(inputs)
        variance = np.maximum(self._kernel.variance() - np.sum(explained**2, axis=0), 0)
        deviation: Array = self._unit * np.sqrt(variance)
        return deviation

    def covariance(self, settings: Sequence[HamConfig]) -> Array:
        """Return how the expectations go together. Shape: (len(settings), len(settings))."""
        inputs = self._inputs(settings)
        explained = self._explained(inputs)
        prior = self._kernel.surface(inputs, inputs)
        covariance: Array = self._unit**2 * (prior - explained.T @ explained)
        return covariance

    @property
    def noise(self) -> float:
        """Standard deviation of single runs around their setting and seed, a fraction."""
        return self._unit * math.sqrt(self._kernel.noise)

    def _explained(self, inputs: Array) -> Array:
        """Return the part of the prior deviation that the runs explain (R & W, Alg. 2.1)."""
        across = self._kernel.surface(self._inputs_seen, inputs)
        explained: Array = solve_triangular(self._factor, across, lower=True)
        return explained

    def _expected(self, settings: Sequence[HamConfig]) -> Array:
        """Return the gains that the prior expects, read between its levels."""
        if self._prior is None:
            return np.zeros(len(settings))
        axes = (self._space.alpha, self._space.beta)
        given = (self._prior.alphas, self._prior.betas)
        coordinates = [
            [axis.coordinate(v) for v in own] for axis, own in zip(axes, given, strict=True)
        ]
        gains = np.array(self._prior.gains)
        table = RegularGridInterpolator(coordinates, gains, bounds_error=False, fill_value=None)
        read: Array = table(self._inputs(settings)[:, :2])
        return read

    def _inputs(
        self,
        settings: Sequence[HamConfig],
        seeds: Sequence[int] | int = 0,
        shortfalls: Sequence[float] | float = 0.0,
    ) -> Array:
        inputs = np.pad(np.array(self._space.coordinates(settings)).T, ((0, 0), (0, 2)))
        inputs[:, SEED], inputs[:, SHORTFALL] = seeds, shortfalls
        return inputs


def _floor(accuracies: Array) -> float:
    """Return the accuracy below which a run merely counts as poor.

    The scale is that of the better half, which no collapse can stretch.
    """
    middle = float(np.median(accuracies))
    better = accuracies[accuracies >= middle]
    return middle - _FLOOR * math.sqrt(float(np.mean((better - middle) ** 2)))


def _most_probable(
    kernel: RunKernel,
    objective: Callable[[Array], tuple[float, Array]],
    start: Array,
    bounds: Array,
) -> tuple[Array, float]:
    """Maximize likelihood times priors: what scikit-learn calls as its optimizer."""
    width = np.concatenate(
        [
            np.full(parameter.n_elements, _PRIOR_WIDTH.get(parameter.name, 1.0))
            for parameter in kernel.hyperparameters
        ]
    )

    def posterior(theta: Array) -> tuple[float, Array]:
        value, slope = objective(theta)
        away = (theta - start) / width
        return value + float(away @ away) / 2, slope + away / width

    found = minimize(posterior, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return found.x, found.fun
