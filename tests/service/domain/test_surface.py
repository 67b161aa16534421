"""The surface that finalists are chosen by."""

from __future__ import annotations

import math
import random
from statistics import fmean, median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ham.config import Setting
from search_spaces import SearchSpace
from service.domain.surface import Surface, best_first
from service.records import Run
from tests.service.builders import a_job, a_plan, a_run

GAP = 0.012
NOISE = GAP


@pytest.fixture
def space() -> SearchSpace:
    return a_plan().space


def truth(setting: Setting) -> float:
    """A ridge at alpha 30, flat in beta, over a cliff beyond alpha 140."""
    alpha = math.log10(max(setting.alpha, 0.5))
    beta = math.log10(max(setting.beta, 5e-5))
    peak = math.exp(-(((alpha - 1.5) / 0.5) ** 2) - ((beta + 2) / 1.2) ** 2)
    return 0.96 + GAP * peak - 0.6 / (1 + math.exp(-25 * (alpha - 2.15)))


def searched(space: SearchSpace, seed: int, trials: int = 40) -> list[Run]:
    """A random search whose runs are noisy."""
    draw = random.Random(seed)
    runs = []
    for number in range(trials):
        setting = space.decode(
            {
                name: axis.floor * (axis.high / axis.floor) ** draw.random()
                for name, axis in (("alpha", space.alpha), ("beta", space.beta))
            }
        )
        noisy = truth(setting) + draw.gauss(0, NOISE)
        job = a_job(setting=setting, trial_number=number)
        runs.append(a_run(job, noisy))
    return runs


def test_surface_chooses_better_settings_than_the_luckiest_run(space: SearchSpace) -> None:
    """Regret, as a share of the gap between the best setting and no HAM."""
    by_surface, by_luck = [], []
    for seed in range(60):
        runs = searched(space, seed)
        best = max(truth(run.setting) for run in runs)
        lucky = max(runs, key=lambda run: run.validation_accuracy or 0)
        by_surface.append((best - truth(best_first(space, runs)[0])) / GAP)
        by_luck.append((best - truth(lucky.setting)) / GAP)
    assert fmean(by_surface) < fmean(by_luck)


def test_how_far_a_run_collapsed_does_not_matter(space: SearchSpace) -> None:
    runs = searched(space, seed=3)
    middle = median(run.validation_accuracy or 0 for run in runs)
    deeper = [
        run.model_copy(update={"validation_accuracy": 0.1})
        if (run.validation_accuracy or 0) < middle - NOISE
        else run
        for run in runs
    ]
    assert deeper != runs
    assert set(best_first(space, deeper)[:20]) == set(best_first(space, runs)[:20])


def test_too_few_runs_are_ordered_by_their_own_accuracy(space: SearchSpace) -> None:
    runs = searched(space, seed=4, trials=5)
    ordered = sorted(runs, key=lambda run: -(run.validation_accuracy or 0))
    assert best_first(space, runs) == [run.setting for run in ordered]


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(12)))
def test_order_does_not_depend_on_the_order_of_the_runs(places: list[int]) -> None:
    space = a_plan().space
    runs = searched(space, seed=5, trials=12)
    assert best_first(space, [runs[place] for place in places]) == best_first(space, runs)


def test_zero_has_its_place_on_the_surface(space: SearchSpace) -> None:
    surface = Surface(space, searched(space, seed=2))
    zero, weak = surface.expected([Setting(0, 0.01), Setting(space.alpha.low, 0.01)])
    assert zero == pytest.approx(weak, abs=NOISE)
