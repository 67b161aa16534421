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
from service.records import Run, RunState

FEWEST_RUNS = 8
"""With fewer runs than this there is no surface to speak of."""


class Surface:
    """The posterior of a Gaussian process over settings.

    Args:
        space: whose sampled axes, scaled to [0, 1], are the inputs; zero has its place on them.
        runs: full-length runs, at least :data:`FEWEST_RUNS`. A failed run counts as a poor one.

    The kernel is Matern 5/2 with a length scale per axis plus white noise, all fitted by marginal
    likelihood. Accuracies far below the median are raised to a floor: that a setting collapses
    matters, how far it collapses does not, and it would drown the differences near the top.
    """

    def __init__(self, space: SearchSpace, runs: Sequence[Run]) -> None:
        self._space = space
        inputs = self._inputs([run.setting for run in runs])
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(
            length_scale=[0.3, 0.3], length_scale_bounds=(0.05, 3.0), nu=2.5
        ) + WhiteKernel(0.3, (1e-3, 1e1))
        self._process = GaussianProcessRegressor(
            kernel, normalize_y=True, n_restarts_optimizer=2, random_state=0
        )
        with warnings.catch_warnings():  # a bound that is met is an answer, not a mistake
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._process.fit(inputs, _targets(runs))

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


def _targets(runs: Sequence[Run]) -> NDArray[np.float64]:
    values = [
        run.validation_accuracy
        for run in runs
        if run.state == RunState.SUCCEEDED and run.validation_accuracy is not None
    ]
    middle = median(values)
    floor = middle - (max(values) - middle)
    return np.array(
        [
            max(run.validation_accuracy or 0.0, floor)
            if run.state == RunState.SUCCEEDED
            else floor
            for run in runs
        ]
    )
