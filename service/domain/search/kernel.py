"""The covariance of two runs' results, from which the response surface is built.

The result of a run is the sum of independent parts, each with its own variance:

    surface(configuration) + effect of the seed + effect of the missing epochs + noise

The surface is an analysis of variance: an effect of alpha, one of beta, one of each further axis
of the search (schedules by their coordinates), and a joint effect of all axes. Where only one axis
matters, all runs inform its effect, whatever their values on the other axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

Array = NDArray[np.float64]

SEED, SHORTFALL = -2, -1
"""The last columns of the inputs: the seed, and the share of epochs missing. The columns before
are coordinates in [0, 1], alpha and beta first."""

LENGTH, MAIN = 0.3, 0.5
"""Prior median of an axis: its length scale and its variance."""
_BOUNDS = (1e-4, 1e3)


class RunKernel(Kernel):  # type: ignore[misc]  # scikit-learn has no types
    """Covariance of runs, full-length or stopped; variances are in units of the data's variance.

    With Matern-5/2 correlations a, b, ... over the axes, p their product, sigma = 1 for equal
    seeds, and s the share of missing epochs:

        k = main_a a + main_b b + ... + joint p + seed sigma + shortfall s s' (1 + p) / 2

    plus ``noise`` on the diagonal of k(X, X). A run of full length has s = 0.

    Args:
        length: length scale of each axis.
        main: variance of each axis alone.
        joint: variance of the joint effect of all axes.
        noise: variance of single runs.
        seed: variance between seeds.
        shortfall: variance of the effect of the missing epochs.
    """

    def __init__(
        self,
        length: Sequence[float] = (LENGTH, LENGTH),
        main: Sequence[float] = (MAIN, MAIN),
        joint: float = 0.5,
        noise: float = 0.3,
        seed: float = 0.1,
        shortfall: float = 10.0,
    ) -> None:
        self.length = length
        self.main = main
        self.joint = joint
        self.noise = noise
        self.seed = seed
        self.shortfall = shortfall

    @property
    def hyperparameters(self) -> list[Hyperparameter]:
        """All hyperparameters, on logarithmic scales, in alphabetical order."""
        axes = len(self.length)
        sizes = {"length": axes, "main": axes}
        return [
            Hyperparameter(name, "numeric", _BOUNDS, sizes.get(name, 1))
            for name in sorted(self.get_params())
        ]

    def surface(self, left: Array, right: Array) -> Array:
        """Return the covariance of the surface alone. Shape: (len(left), len(right))."""
        along = [correlation for correlation, _ in self._along(left, right)]
        parts = [main * own for main, own in zip(self.main, along, strict=True)]
        total: Array = np.add(sum(parts), prod(along, start=self.joint))
        return total

    def variance(self) -> float:
        """Return the variance of the surface alone, equal for all inputs."""
        return float(sum(self.main) + self.joint)

    def __call__(self, X: Array, Y: Array | None = None, eval_gradient: bool = False) -> Any:
        """Return k(X, Y); with ``eval_gradient`` also its gradient by the log hyperparameters."""
        other = X if Y is None else Y
        along, slopes = zip(*self._along(X, other), strict=True)
        missing = self.shortfall * np.outer(X[:, SHORTFALL], other[:, SHORTFALL]) / 2
        parts = {
            "joint": [prod(along, start=self.joint)],
            "main": [main * own for main, own in zip(self.main, along, strict=True)],
            "noise": [self.noise * np.eye(len(X)) if Y is None else np.zeros_like(along[0])],
            "seed": [self.seed * (X[:, None, SEED] == other[None, :, SEED])],
            "shortfall": [missing * (1 + prod(along))],
        }
        total = sum(part for name in sorted(parts) for part in parts[name])
        if not eval_gradient:
            return total
        parts["length"] = [
            (main + prod(along[:axis] + along[axis + 1 :], start=self.joint + missing)) * slope
            for axis, (main, slope) in enumerate(zip(self.main, slopes, strict=True))
        ]
        return total, np.dstack([part for name in sorted(parts) for part in parts[name]])

    def diag(self, X: Array) -> Array:
        """Return the diagonal of k(X, X)."""
        everywhere = self.variance() + self.seed + self.noise
        missing: Array = self.shortfall * X[:, SHORTFALL] ** 2
        return everywhere + missing

    def is_stationary(self) -> bool:
        """Return False: the part of the missing epochs depends on more than differences."""
        return False

    def _along(self, left: Array, right: Array) -> list[tuple[Array, Array]]:
        """Return each axis's correlation, and its derivative by the log length."""
        return [
            _matern(left[:, axis], right[:, axis], length)
            for axis, length in enumerate(self.length)
        ]


def _matern(left: Array, right: Array, length: float) -> tuple[Array, Array]:
    """Return the Matern-5/2 correlation and its derivative by the logarithm of the length."""
    distance = np.sqrt(5) * np.abs(left[:, None] - right[None, :]) / length
    decay = np.exp(-distance)
    square = distance**2 / 3
    return (1 + distance + square) * decay, square * (1 + distance) * decay
