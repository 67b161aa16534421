"""Regret of the whole selection against the best single trial, on simulated surfaces.

``python -m benchmarks.selection`` measures it on more shapes and with more repetitions.
"""

from __future__ import annotations

from statistics import fmean

from benchmarks.selection import SHAPES, regrets

REPETITIONS = 4


def test_selected_loses_at_most_half_of_what_the_best_single_trial_loses() -> None:
    found = [regret for shape in SHAPES.values() for regret in regrets(shape, REPETITIONS)]
    selected, single, _ = (fmean(column) for column in zip(*found, strict=True))
    assert selected <= 0.5 * single
