"""A smooth surface of validation accuracy over (log alpha, log beta), fitted to noisy runs.

The best single run of a search is mostly lucky: with a hundred settings on a plateau, the seed's
noise decides which of them tops the list. A Gaussian process shares what neighbouring settings
have seen, so that settings are compared by what is to be expected of them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from ham.config import Setting
from search_spaces import SearchSpace
from service.records import Run

FEWEST_RUNS = 8
"""With fewer runs than this there is no surface to speak of."""


def best_first(space: SearchSpace, runs: Sequence[Run]) -> list[Setting]:
    """Order the settings of full-length runs by what the surface expects of them.

    Settings whose run collapsed come last, by their own run; so do all where the runs are too
    few for a surface.
    """
    by_own = sorted(runs, key=lambda run: -(run.validation_accuracy or 0.0))
    if len(runs) < FEWEST_RUNS:
        return [run.setting for run in by_own]
    kept = sound(by_own)
    expected = Surface(space, kept).expected([run.setting for run in kept])
    order = sorted(zip(expected, kept, strict=True), key=lambda pair: -pair[0])
    collapsed = [run.setting for run in by_own if run not in kept]
    return [run.setting for _, run in order] + collapsed


class Surface:
    """The posterior of a Gaussian process over settings.

    Args:
        space: whose sampled axes, scaled to [0, 1], are the inputs; zero has its place on them.
        runs: full-length runs with a result, at least :data:`FEWEST_RUNS`.

    The kernel is Matern 5/2 with a length scale per axis plus white noise, all fitted by marginal
    likelihood. Give it :func:`sound` runs only: a smooth surface over a cliff would wiggle all
    over the plateau, which is where the choice is made.
    """

    def __init__(self, space: SearchSpace, runs: Sequence[Run]) -> None:
        self._space = space
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(
            length_scale=[0.4, 0.4], length_scale_bounds=(0.15, 3.0), nu=2.5
        ) + WhiteKernel(0.3, (0.1, 1e1))
        self._process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
        with warnings.catch_warnings():  # a bound that is met is an answer, not a mistake
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._process.fit(
                self._inputs([run.setting for run in runs]),
                np.array([run.validation_accuracy for run in runs]),
            )

    def expected(self, settings: Sequence[Setting]) -> list[float]:
        """Return the posterior mean of the validation accuracy at each setting."""
        return [float(value) for value in self._process.predict(self._inputs(settings))]

    def _inputs(self, settings: Sequence[Setting]) -> NDArray[np.float64]:
        axes = {"alpha": self._space.alpha, "beta": self._space.beta}
        points = [self._space.encode(setting) for setting in settings]
        return np.array(
            [
                [
                    math.log(point[name] / axis.floor) / math.log(axis.high / axis.floor)
                    for name, axis in axes.items()
                ]
                for point in points
            ]
        )


def sound(runs: Sequence[Run]) -> list[Run]:
    """Return the runs that did not collapse.

    A run has collapsed if it lies further below the median than the best lies above it.
    """
    values = [run.validation_accuracy or 0.0 for run in runs]
    middle = median(values)
    floor = middle - (max(values) - middle)
    return [run for run, value in zip(runs, values, strict=True) if value >= floor]
