"""The recorded truth as a replacement of trainings: a search takes seconds.

Between the configurations of the grid, accuracies are interpolated linearly in log alpha and
log beta. Zero is one grid interval below the smallest value. Each recorded seed has its own
surface, so the noise of seeds is that of real trainings. Imports no torch.
"""

from __future__ import annotations

import bisect
import csv
import math
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ham.config import HamConfig

IMAGES = 500
"""Images of the validation split, and of the test split, of the recorded file."""
CHANCE = 0.1
"""Accuracy of a training that diverged: ten classes, guessed."""

Counts = dict[tuple[float, float], list[str]]


class Truth:
    """The recorded trainings of one combination.

    Attributes:
        alphas, betas: the grid, ascending, zero first.
        curves: validation accuracy, a fraction. Shape: (seed, alpha, beta, epoch).
        test: test accuracy of the last weights. Shape: (seed, alpha, beta).
    """

    def __init__(self, seeds: Sequence[Counts]) -> None:
        self.alphas = sorted({alpha for alpha, _ in seeds[0]})
        self.betas = sorted({beta for _, beta in seeds[0]})
        cells = np.array(
            [[[_correct(own[a, b]) for b in self.betas] for a in self.alphas] for own in seeds]
        )
        self.test, self.curves = cells[..., 0], cells[..., 1:]

    @property
    def seeds(self) -> int:
        """Number of seeds recorded of every configuration."""
        return len(self.curves)

    def curve(self, ham_config: HamConfig, seed: int) -> NDArray[np.float64]:
        """Return the accuracies after each epoch; a seed counts modulo the recorded ones."""
        return self._at(self.curves[seed % self.seeds], ham_config)

    def expected(self, ham_config: HamConfig) -> float:
        """Return the mean final validation accuracy over all seeds."""
        return float(self._at(self._mean, ham_config))

    def expected_test(self, ham_config: HamConfig) -> float:
        """Return the mean test accuracy over all seeds."""
        return float(self._at(self.test.mean(axis=0), ham_config))

    @cached_property
    def best_configuration(self) -> HamConfig:
        """The configuration of the grid with the highest mean final validation accuracy."""
        alpha, beta = np.unravel_index(int(self._mean.argmax()), self._mean.shape)
        return HamConfig(alpha=self.alphas[alpha], beta=self.betas[beta])

    @cached_property
    def best(self) -> float:
        """The highest mean final validation accuracy on the grid, biased up by its noise."""
        return float(self._mean.max())

    @cached_property
    def _mean(self) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = self.curves[..., -1].mean(axis=0)
        return mean

    def _at(self, grid: NDArray[np.float64], ham_config: HamConfig) -> NDArray[np.float64]:
        """Interpolate an array over (alpha, beta, ...)."""
        a, to_a = _interval(self.alphas, ham_config.alpha)
        b, to_b = _interval(self.betas, ham_config.beta)
        low = grid[a, b] * (1 - to_b) + grid[a, b + 1] * to_b
        high = grid[a + 1, b] * (1 - to_b) + grid[a + 1, b + 1] * to_b
        return np.asarray(low * (1 - to_a) + high * to_a)


def load(file: Path) -> dict[str, Truth]:
    """Read every combination; seeds that are not recorded on the whole grid are left out."""
    found: dict[str, dict[str, Counts]] = defaultdict(lambda: defaultdict(dict))
    with file.open(newline="") as stream:
        lines = csv.reader(stream)
        next(lines)
        for combination, alpha, beta, seed, _cpu_seconds, *counts in lines:
            found[combination][seed][float(alpha), float(beta)] = counts
    whole = {key: max(map(len, seeds.values())) for key, seeds in found.items()}
    return {
        key: Truth([own for own in seeds.values() if len(own) == whole[key]])
        for key, seeds in found.items()
    }


def _correct(counts: Sequence[str]) -> list[float]:
    return [float(count) / IMAGES if count else CHANCE for count in counts]


def _interval(values: Sequence[float], value: float) -> tuple[int, float]:
    """Return the grid interval that contains a value, and the share of the interval before it."""
    if value == 0:
        return 0, 0.0
    value = min(max(value, values[1]), values[-1])
    low = min(max(bisect.bisect_right(values, value) - 1, 1), len(values) - 2)
    return low, math.log(value / values[low]) / math.log(values[low + 1] / values[low])
