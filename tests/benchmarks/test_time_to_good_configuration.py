"""The replayed systems: their epochs, their time, and when they count as good."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.curves import draw
from benchmarks.replay import Truth
from benchmarks.time_to_good_configuration import (
    MAX_TRIALS,
    SYSTEMS,
    Replay,
    Trace,
    mean_curve,
    traced,
)
from ham.client.records import Budget
from ham.config import HamConfig
from tests.service.builders import a_plan

ALPHAS, BETAS, EPOCHS = (0.0, 1.0, 20.0, 400.0), (0.0, 1e-3, 0.1, 3.0), 15


@pytest.fixture(scope="module")
def replay() -> Replay:
    """Seven seeds of a peak at alpha 20, beta 0.1, each epoch a step towards it."""
    noise = np.random.default_rng(0).integers(-3, 4, (7, 4, 4))
    seeds = [
        {
            (alpha, beta): [
                str(400 + int(noise[seed, a, b]) + 30 * ((alpha, beta) == (20.0, 0.1)) - left)
                for left in (0, *range(EPOCHS - 1, -1, -1))
            ]
            for a, alpha in enumerate(ALPHAS)
            for b, beta in enumerate(BETAS)
        }
        for seed in range(7)
    ]
    budget = Budget(trials=10, finalists=3, screening_seeds=2)
    return Replay(a_plan(budget=budget), Truth(seeds), range(7), (HamConfig(20.0, 0.1),))


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_counts_its_epochs_and_time(replay: Replay, name: str) -> None:
    trace = traced(name, replay, seconds_per_epoch=0.1)
    assert all(before < after for before, after in pairwise(trace.epochs))
    assert all(before < after for before, after in pairwise(trace.seconds))
    assert all(regret >= 0 for regret in trace.regrets)
    assert trace.epochs[0] <= EPOCHS
    assert len(trace.epochs) <= MAX_TRIALS


def test_stopped_trials_train_less_and_all_others_in_full(replay: Replay) -> None:
    asha, full = (traced(name, replay, 0.1).epochs for name in ("Ray Tune, ASHA", "Optuna TPE"))
    assert asha[-1] < full[-1] == MAX_TRIALS * EPOCHS


def test_transferred_configurations_are_tried_first(replay: Replay) -> None:
    trace = traced("hamtune, transfer", replay, 0.1)
    assert trace.until_good()[0] <= 3 * EPOCHS


def test_a_search_that_never_becomes_good_needs_infinite_time() -> None:
    assert Trace([1, 2], [0.1, 0.2], [0.5, 0.01]).until_good() == (math.inf, math.inf)
    assert Trace([1, 2], [0.1, 0.2], [0.5, 0.002]).until_good() == (2, 0.2)


def test_curve_is_the_mean_over_traces_at_equal_times() -> None:
    traces = [Trace([1, 2], [1.0, 10.0], [0.03, 0.01]), Trace([1, 2], [1.0, 100.0], [0.05, 0.01])]
    curve = mean_curve(traces, points=3)
    assert curve[0] == pytest.approx((1.0, 4.0))
    assert curve[1] == pytest.approx((10.0, 3.0))
    assert curve[2] == pytest.approx((100.0, 1.0))
    assert draw("title", "seconds", "points", {"a": curve}).startswith("<svg")
