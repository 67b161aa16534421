"""The whole selection against the best single trial, on simulated surfaces.

``python -m benchmarks.selection`` measures it on more shapes and with more repetitions.
"""

from __future__ import annotations

from statistics import fmean

from benchmarks.selection import SHAPES, regrets

REPETITIONS = 4


def test_recommendation_loses_at_most_half_of_what_the_best_single_trial_loses() -> None:
    rows = [row for shape in SHAPES.values() for row in regrets(shape, REPETITIONS)]
    ours, single, _ = (fmean(column) for column in zip(*rows, strict=True))
    assert ours <= 0.5 * single
