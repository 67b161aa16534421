"""A smooth surface of validation accuracy over (log alpha, log beta, ...), fitted to noisy runs.

The best single run of a search is mostly lucky: among a hundred configurations on a plateau, the
noise of the seed decides which one comes first. A Gaussian process shares results between
neighbouring configurations, so that configurations are compared by their expected accuracies.
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

MIN_RUNS = 5
"""Full-length runs that a surface needs, at least."""

_FLOOR = 2.0
"""Standard deviations of the better half of the runs, below the median: lower accuracies count as
this one."""
_JITTER = 1e-8
_PRIOR_WIDTH = {"length": 0.6}
"""Standard deviations of the log-normal priors of the hyperparameters, 1 if not named here. The
medians are the kernel's defaults."""


class Observation(NamedTuple):
    """The result of one run.

    Attributes:
        ham_config: the configuration that was trained.
        seed: of the training.
        shortfall: share of the full length that was not trained, in [0, 1); 0 where the run
            failed.
        accuracy: validation accuracy at the end, a fraction; None where the run failed.
    """

    ham_config: HamConfig
    seed: int
    shortfall: float
    accuracy: float | None

    @property
    def counts_fully(self) -> bool:
        """True for a result of full length."""
        return self.accuracy is not None and self.shortfall == 0


def observations(runs: Iterable[Run]) -> tuple[Observation, ...]:
    """Return the results of ended runs, in an order that does not depend on the order of ``runs``.

    Equal configurations and seeds give equal results. Only the longest run of each pair counts, so
    that a run made by two studies counts once.
    """
    longest: dict[tuple[HamConfig, int], Observation] = {}
    for run in runs:
        if (seen := _observation(run)) is not None:
            known = longest.setdefault((run.setting, run.seed), seen)
            longest[run.setting, run.seed] = min(known, seen, key=_by_length)
    return tuple(sorted(longest.values(), key=_order))


def _observation(run: Run) -> Observation | None:
    if run.state == RunState.RUNNING:
        return None
    if run.state == RunState.FAILED or run.validation_accuracy is None:
        return Observation(run.setting, run.seed, 0.0, None)
    missing = 1 - run.epochs_done / run.epochs
    return Observation(run.setting, run.seed, missing, run.validation_accuracy)


def _by_length(seen: Observation) -> tuple[bool, float]:
    return seen.accuracy is None, seen.shortfall


def _order(seen: Observation) -> tuple[float, float, int, str]:
    return seen.ham_config.alpha, seen.ham_config.beta, seen.seed, repr(seen.ham_config)


@lru_cache(maxsize=8)
def fit_surface(
    space: SearchSpace, seen: tuple[Observation, ...], prior: Prior | None = None
) -> Surface:
    """Return the surface of observations, from a cache where it was fitted before.

    The prior is used only where the observations are more probable with it than without it.
    """
    own = Surface(space, seen)
    return own if prior is None else max(own, Surface(space, seen, prior), key=_evidence)


def _evidence(surface: Surface) -> float:
    return surface.evidence


class Surface:
    """The posterior of a Gaussian process over configurations, at full length and over all seeds.

    Args:
        space: its coordinates are the inputs: sampled axes, scaled to [0, 1], and tuned schedules.
        seen: at least :data:`MIN_RUNS` observations of full length.
        prior: expected gains where nothing has been observed; the mean of all runs if left out.

    Attributes:
        evidence: logarithm of the observations' likelihood times the priors of the
            hyperparameters, to compare surfaces of the same observations.

    The hyperparameters are the most probable ones under weak log-normal priors. Accuracies far
    below the median, and failed runs, count as a little below it. A poor configuration thus keeps
    the surface down around it, while the depth of a collapse does not drown the differences near
    the top.
    """

    def __init__(
        self, space: SearchSpace, seen: Sequence[Observation], prior: Prior | None = None
    ) -> None:
        self._space, self._prior = space, prior
        floor = _floor(np.array([each.accuracy for each in seen if each.counts_fully]))
        accuracies = np.array([max(each.accuracy or 0.0, floor) for each in seen])
        accuracies -= self._expected([each.ham_config for each in seen])
        self._centre = float(np.mean(accuracies))
        self._unit = float(np.std(accuracies)) or 1.0
        inputs = self._inputs(
            [each.ham_config for each in seen],
            [each.seed for each in seen],
            [each.shortfall for each in seen],
        )
        count = inputs.shape[1] - 2
        kernel = RunKernel(length=(LENGTH,) * count, main=(MAIN,) * count)
        optimizer = partial(_most_probable, kernel)
        process = GaussianProcessRegressor(kernel, alpha=_JITTER, optimizer=optimizer)
        with warnings.catch_warnings():  # a hyperparameter at its bound is a valid answer
            warnings.simplefilter("ignore", ConvergenceWarning)
            process.fit(inputs, (accuracies - self._centre) / self._unit)
        self.evidence = float(process.log_marginal_likelihood_value_) - len(seen) * math.log(
            self._unit
        )
        self._inputs_seen = inputs
        self._kernel: RunKernel = process.kernel_
        self._weights: Array = process.alpha_
        self._factor: Array = process.L_

    def mean(self, ham_configs: Sequence[HamConfig]) -> Array:
        """Return the expected validation accuracy of each configuration, a fraction."""
        across = self._kernel.surface(self._inputs(ham_configs), self._inputs_seen)
        mean: Array = self._centre + self._unit * (across @ self._weights)
        return mean + self._expected(ham_configs)

    def deviation(self, ham_configs: Sequence[HamConfig]) -> Array:
        """Return the standard deviation of each expectation, a fraction."""
        inputs = self._inputs(ham_configs)
        explained = self._explained(inputs)
        variance = np.maximum(self._kernel.variance() - np.sum(explained**2, axis=0), 0)
        deviation: Array = self._unit * np.sqrt(variance)
        return deviation

    def covariance(self, ham_configs: Sequence[HamConfig]) -> Array:
        """Return the covariance of the expectations. Shape: (configurations, configurations)."""
        inputs = self._inputs(ham_configs)
        explained = self._explained(inputs)
        prior = self._kernel.surface(inputs, inputs)
        covariance: Array = self._unit**2 * (prior - explained.T @ explained)
        return covariance

    @property
    def noise(self) -> float:
        """Standard deviation of single runs of one configuration and seed, a fraction."""
        return self._unit * math.sqrt(self._kernel.noise)

    def _explained(self, inputs: Array) -> Array:
        """Return the part of the prior deviation that the runs explain.

        Reference: Rasmussen and Williams, Gaussian Processes for Machine Learning, Algorithm 2.1.
        """
        across = self._kernel.surface(self._inputs_seen, inputs)
        explained: Array = solve_triangular(self._factor, across, lower=True)
        return explained

    def _expected(self, ham_configs: Sequence[HamConfig]) -> Array:
        """Return the prior's gains, interpolated between its levels."""
        if self._prior is None:
            return np.zeros(len(ham_configs))
        axes = (self._space.alpha, self._space.beta)
        given = (self._prior.alphas, self._prior.betas)
        coordinates = [
            [axis.coordinate(v) for v in own] for axis, own in zip(axes, given, strict=True)
        ]
        gains = np.array(self._prior.gains)
        table = RegularGridInterpolator(coordinates, gains, bounds_error=False, fill_value=None)
        read: Array = table(self._inputs(ham_configs)[:, :2])
        return read

    def _inputs(
        self,
        ham_configs: Sequence[HamConfig],
        seeds: Sequence[int] | int = 0,
        shortfalls: Sequence[float] | float = 0.0,
    ) -> Array:
        inputs = np.pad(np.array(self._space.coordinates(ham_configs)).T, ((0, 0), (0, 2)))
        inputs[:, SEED], inputs[:, SHORTFALL] = seeds, shortfalls
        return inputs


def _floor(accuracies: Array) -> float:
    """Return the accuracy that lower ones count as.

    The scale is that of the better half of the runs, which a collapsed run cannot widen.
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
    """Maximize likelihood times priors; the signature is that of scikit-learn's ``optimizer``."""
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
