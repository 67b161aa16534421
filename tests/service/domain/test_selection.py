"""The whole selection on pure noise: its gain is not the gain of having been selected."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import numpy as np

from ham.config import NO_HAM, PAPER_DEFAULT, Setting
from service.domain.recommendations import recommend
from service.records import Budget, Grade, Job, NewRecommendation
from tests.service.builders import a_plan
from tests.service.domain.history import whole_study

REPETITIONS = 1000
PROPOSED = [NO_HAM, PAPER_DEFAULT, *(Setting(alpha=2.0**n, beta=0.01) for n in range(1, 6))]
PLAN = a_plan(
    budget=Budget(trials=len(PROPOSED), finalists=3, screening_seeds=2, confirmation_seeds=5)
)


def study_of_equals(rng: np.random.Generator) -> NewRecommendation:
    """Every setting is equally good; every run has its own noise, also shared by seed."""
    of_seed = rng.normal(0, 0.02, 10_000)

    def measure(job: Job) -> tuple[float, float]:
        validation, test = 0.9 + of_seed[job.seed] + rng.normal(0, 0.01, 2)
        return float(validation), float(test)

    return recommend(PLAN, whole_study(PLAN, PROPOSED, measure))


def test_gain_among_equals_is_zero_and_confirmed_as_seldom_as_promised() -> None:
    rng = np.random.default_rng(0)
    results = [study_of_equals(rng) for _ in range(REPETITIONS)]
    gains = [result.gain.mean for result in results]
    assert abs(fmean(gains)) < 3 * stdev(gains) / math.sqrt(REPETITIONS)
    confirmed = fmean(result.grade == Grade.CONFIRMED for result in results)
    assert abs(confirmed - 0.025) < 3 * math.sqrt(0.025 * 0.975 / REPETITIONS)


def test_the_search_itself_would_have_boasted() -> None:
    """The check above can fail: the best of the search looks better than it is."""
    rng = np.random.default_rng(1)
    boasts = [float(np.max(rng.normal(0, 0.01, len(PROPOSED)))) for _ in range(REPETITIONS)]
    assert fmean(boasts) > 3 * stdev(boasts) / math.sqrt(REPETITIONS)
