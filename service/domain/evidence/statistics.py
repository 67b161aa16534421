"""Intervals and paired comparisons. Accuracies are fractions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from scipy.special import stdtrit

from ham.client.records import Estimate

CONFIDENCE = 0.95


def estimate(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Return the mean of independent values and Student's t interval for it.

    Args:
        values: at least two finite numbers, one per seed.
        confidence: of the interval, in (0, 1).

    Raises:
        ValueError: fewer than two values, which give no interval.
    """
    n = len(values)
    if n < 2:
        raise ValueError(f"an interval needs at least 2 values, but got {n}")
    mean = fmean(values)
    half = stdtrit(n - 1, (1 + confidence) / 2) * stdev(values) / math.sqrt(n)
    return Estimate(mean=mean, low=mean - float(half), high=mean + float(half), n=n)


def paired_gain(
    treated: Mapping[int, float], baseline: Mapping[int, float], confidence: float = CONFIDENCE
) -> Estimate:
    """Return the mean of ``treated`` minus ``baseline`` over their common seeds, and its interval.

    Pairing by seed removes what the seed alone does to both: the same initial weights, the same
    mask, the same order of the data.

    Args:
        treated: accuracies by seed.
        baseline: accuracies by seed.
        confidence: of the interval, in (0, 1).

    Raises:
        ValueError: fewer than two seeds in common.
    """
    seeds = sorted(treated.keys() & baseline.keys())
    return estimate([treated[seed] - baseline[seed] for seed in seeds], confidence)


def differ(one: Mapping[int, float], other: Mapping[int, float]) -> bool:
    """Tell whether the 95 % interval of the difference, paired by seed, excludes zero.

    False with fewer than two seeds in common.
    """
    if len(one.keys() & other.keys()) < 2:
        return False
    gain = paired_gain(one, other)
    return gain.low > 0 or gain.high < 0
