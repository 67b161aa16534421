"""The whole selection against the best single trial, on simulated surfaces.

``python -m benchmarks.selection`` measures it on more shapes and with more repetitions.
"""

from __future__ import annotations

from statistics import fmean

import pytest

from benchmarks.selection import SHAPES, regrets

REPETITIONS = 10


@pytest.mark.slow
def test_recommendation_loses_less_than_the_best_of_as_many_single_trials() -> None:
    rows = [row for name in ("hill", "shrinkage") for row in regrets(SHAPES[name], REPETITIONS)]
    ours, single = zip(*rows, strict=True)
    assert fmean(ours) < 0.8 * fmean(single)
