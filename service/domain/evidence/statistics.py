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
        ValueError: fewer than two values, of which no interval can be said.
    """
    n = len(values)
    if n < 2:
        raise ValueError(f"an interval needs at least 2 values, but got {n}")
    mean = fmean(values)
    half = stdtrit(n - 1, (1 + confidence) / 2) * stdev(values) / math.sqrt(n)
    return Estimate(mean=mean, low=mean - float(half), high=mean + float(half), n=n)


def paired_gain(
    treated: Mapping[int, float], control: Mapping[int, float], confidence: float = CONFIDENCE
) -> Estimate:
    """Return the mean difference over the seeds that both sides have, with its interval.

    Pairing by seed takes out what the seed alone does to both: the same initial weights, the
    same mask, the same order of the data.
    """
    seeds = sorted(treated.keys() & control.keys())
    return estimate([treated[seed] - control[seed] for seed in seeds], confidence)


def tells_apart(treated: Mapping[int, float], control: Mapping[int, float]) -> bool:
    """Tell whether the interval of the paired difference leaves out zero."""
    if len(treated.keys() & control.keys()) < 2:
        return False
    gain = paired_gain(treated, control)
    return gain.low > 0 or gain.high < 0
