"""The whole selection on pure noise: the measured gain has no selection bias."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import numpy as np
import pytest

from ham.client.records import Budget, Grade, NewRecommendation, Plan, Prior
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, HamConfig
from service.domain.evidence.recommendations import recommend
from service.domain.evidence.statistics import paired_gain
from service.domain.search.ranking import surface_of
from service.records import Job
from tests.service.builders import a_plan
from tests.service.domain.search.history import whole_study

OF_SEED, OF_RUN = 0.02, 0.01
GAIN = 0.004
SMALL = (
    a_plan(budget=Budget(trials=3, finalists=2, screening_seeds=1, confirmation_seeds=8)),
    [HamConfig(alpha=2.0**n, beta=0.01) for n in range(1, 4)],
)
WITH_SURFACE = (
    a_plan(budget=Budget(trials=10, finalists=4, screening_seeds=2, confirmation_seeds=5)),
    [RECIPE_BASELINE, PAPER_DEFAULT, *(HamConfig(alpha=2.0**n, beta=4.0**-n) for n in range(8))],
)


def study_of_equals(
    rng: np.random.Generator, plan: Plan, proposed: list[HamConfig], gain: float
) -> NewRecommendation:
    """Configurations with HAM are equally good; noise is of runs and, for all alike, of seeds."""
    of_seed = rng.normal(0, OF_SEED, 10_000)

    def measure(job: Job) -> tuple[float, float]:
        level = 0.9 + of_seed[job.seed] + (0 if job.setting.is_baseline else gain)
        validation, test = level + rng.normal(0, OF_RUN, 2)
        return float(validation), float(test)

    return recommend(plan, whole_study(plan, proposed, measure))


@pytest.mark.slow
@pytest.mark.parametrize(
    "study, repetitions", [(SMALL, 2000), (WITH_SURFACE, 60)], ids=["by means", "by surface"]
)
def test_gain_among_equals_is_unbiased_covered_and_confirmed_as_seldom_as_promised(
    study: tuple[Plan, list[HamConfig]], repetitions: int
) -> None:
    rng = np.random.default_rng(0)
    results = [study_of_equals(rng, *study, gain=0.0) for _ in range(repetitions)]
    gains = [result.gain.mean for result in results if result.gain]
    chance = 3 / math.sqrt(repetitions)
    assert len(gains) == repetitions
    assert abs(fmean(gains)) < 3 * stdev(gains) / math.sqrt(repetitions)
    assert abs(fmean(gains)) < 0.1 * OF_RUN
    confirmed = fmean(result.grade == Grade.CONFIRMED for result in results)
    assert abs(confirmed - 0.025) < chance * math.sqrt(0.025 * 0.975)


def test_prior_enters_neither_the_gain_nor_the_optimum() -> None:
    """The prior promises three points at one configuration; all configurations are equal."""
    plan, proposed = WITH_SURFACE
    prior = Prior(
        neighbours=("a", "b", "c"),
        alphas=(0.0, 1.0, 8.0, 400.0),
        betas=(0.0, 0.001, 0.02, 3.0),
        gains=((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0.03, 0), (0, 0, 0, 0)),
    )
    rng = np.random.default_rng(2)

    def measure(_: Job) -> tuple[float, float]:
        validation, test = 0.9 + rng.normal(0, OF_RUN, 2)
        return float(validation), float(test)

    with_prior = plan.model_copy(update={"prior": prior})
    for _ in range(3):
        runs = whole_study(with_prior, proposed, measure)
        result = recommend(with_prior, runs)
        tests: dict[HamConfig, dict[int, float]] = {RECIPE_BASELINE: {}, result.candidate: {}}
        for run in runs:
            if run.test_accuracy is not None and run.setting in tests:
                tests[run.setting][run.seed] = run.test_accuracy
        assert result.gain == paired_gain(tests[result.candidate], tests[RECIPE_BASELINE])
        surface = surface_of(plan, runs)
        assert surface is not None and result.optimum is not None
        own = np.diff(surface.mean([RECIPE_BASELINE, result.candidate]))[0]
        assert result.optimum.expected_gain.mean == pytest.approx(own)


@pytest.mark.slow
def test_intervals_cover_the_true_gain_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    results = [study_of_equals(rng, *SMALL, gain=GAIN) for _ in range(2000)]
    covered = fmean(each.gain.low <= GAIN <= each.gain.high for each in results if each.gain)
    assert 0.93 <= covered <= 0.97


def test_the_best_of_the_search_itself_is_biased() -> None:
    """The check above can fail: the best of the search looks better than it is."""
    rng = np.random.default_rng(1)
    boasts = [float(np.max(rng.normal(0, OF_RUN, 10))) for _ in range(1000)]
    assert fmean(boasts) > 0.1 * OF_RUN
