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

    Where the runs are too few for a surface, each setting is judged by its own run.
    """
    by_own = sorted(runs, key=lambda run: -(run.validation_accuracy or 0.0))
    settings = [run.setting for run in by_own]
    if len(runs) < FEWEST_RUNS:
        return settings
    expected = Surface(space, by_own).expected(settings)
    order = sorted(zip(expected, settings, strict=True), key=lambda pair: -pair[0])
    return [setting for _, setting in order]


class Surface:
    """The posterior of a Gaussian process over settings.

    Args:
        space: whose sampled axes, scaled to [0, 1], are the inputs; zero has its place on them.
        runs: full-length runs with a result, at least :data:`FEWEST_RUNS`.

    The kernel is Matern 5/2 with a length scale per axis plus white noise, all fitted by marginal
    likelihood. Accuracies below the median count as the median: that a setting is poor keeps the
    surface down around it, but how far a run collapsed would drown the differences near the top.
    """

    def __init__(self, space: SearchSpace, runs: Sequence[Run]) -> None:
        self._space = space
        accuracies = [run.validation_accuracy or 0.0 for run in runs]
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(
            length_scale=[0.4, 0.4], length_scale_bounds=(0.1, 3.0), nu=2.5
        ) + WhiteKernel(0.3, (0.1, 1e1))
        self._process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
        with warnings.catch_warnings():  # a bound that is met is an answer, not a mistake
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._process.fit(
                self._inputs([run.setting for run in runs]),
                np.maximum(accuracies, median(accuracies)),
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
