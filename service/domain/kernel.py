"""How the results of two runs go together: the covariance of the response surface.

The result of a run is the sum of independent parts, each with a variance of its own:

    surface(alpha, beta) + luck of the seed + what the missing epochs would have changed + noise

The surface is an analysis of variance: an effect of alpha, one of beta, and one of both together.
Where only one parameter matters, all runs speak of it, whatever the other was.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

Array = NDArray[np.float64]

ALPHA, BETA, SEED, SHORTFALL = range(4)
"""Columns of the inputs: two places on axes of [0, 1], the seed, the share of epochs missing."""

_BOUNDS = (1e-4, 1e3)


class RunKernel(Kernel):
    """Covariance of full or stopped runs of settings and seeds; variances in units of the data's.

    With Matern-5/2 correlations a over alpha and b over beta, sigma = 1 for equal seeds, and s the
    share of missing epochs:

        k = main_alpha a + main_beta b + joint a b + seed sigma + shortfall s s' (1 + a b) / 2

    plus ``noise`` on the diagonal of k(X, X). A run of full length has s = 0.
    """

    def __init__(
        self,
        joint: float = 0.5,
        length_alpha: float = 0.3,
        length_beta: float = 0.3,
        main_alpha: float = 0.5,
        main_beta: float = 0.5,
        noise: float = 0.3,
        seed: float = 0.1,
        shortfall: float = 10.0,
    ) -> None:
        self.joint = joint
        self.length_alpha = length_alpha
        self.length_beta = length_beta
        self.main_alpha = main_alpha
        self.main_beta = main_beta
        self.noise = noise
        self.seed = seed
        self.shortfall = shortfall

    @property
    def hyperparameters(self) -> list[Hyperparameter]:
        """All of them, on logarithmic scales, in the order of the alphabet."""
        return [Hyperparameter(name, "numeric", _BOUNDS) for name in sorted(self.get_params())]

    def surface(self, left: Array, right: Array) -> Array:
        """Return the covariance of the surface alone. Shape: (len(left), len(right))."""
        a, _ = _matern(left[:, ALPHA], right[:, ALPHA], self.length_alpha)
        b, _ = _matern(left[:, BETA], right[:, BETA], self.length_beta)
        total: Array = self.main_alpha * a + self.main_beta * b + self.joint * a * b
        return total

    def __call__(self, X: Array, Y: Array | None = None, eval_gradient: bool = False) -> Any:
        """Return k(X, Y), and its gradient by the logarithms of the hyperparameters."""
        other = X if Y is None else Y
        a, da = _matern(X[:, ALPHA], other[:, ALPHA], self.length_alpha)
        b, db = _matern(X[:, BETA], other[:, BETA], self.length_beta)
        missing = self.shortfall * np.outer(X[:, SHORTFALL], other[:, SHORTFALL]) / 2
        parts = {
            "joint": self.joint * a * b,
            "main_alpha": self.main_alpha * a,
            "main_beta": self.main_beta * b,
            "noise": self.noise * np.eye(len(X)) if Y is None else np.zeros_like(a),
            "seed": self.seed * (X[:, None, SEED] == other[None, :, SEED]),
            "shortfall": missing * (1 + a * b),
        }
        total = sum(parts.values())
        if not eval_gradient:
            return total
        parts["length_alpha"] = (self.main_alpha + (self.joint + missing) * b) * da
        parts["length_beta"] = (self.main_beta + (self.joint + missing) * a) * db
        return total, np.dstack([parts[name] for name in sorted(parts)])

    def diag(self, X: Array) -> Array:
        """Return the diagonal of k(X, X)."""
        everywhere = self.main_alpha + self.main_beta + self.joint + self.seed + self.noise
        missing: Array = self.shortfall * X[:, SHORTFALL] ** 2
        return everywhere + missing

    def is_stationary(self) -> bool:
        """Tell whether k depends on differences only: the missing epochs do not."""
        return False


def _matern(left: Array, right: Array, length: float) -> tuple[Array, Array]:
    """Return the Matern-5/2 correlation and its derivative by the logarithm of the length."""
    distance = np.sqrt(5) * np.abs(left[:, None] - right[None, :]) / length
    decay = np.exp(-distance)
    square = distance**2 / 3
    return (1 + distance + square) * decay, square * (1 + distance) * decay
