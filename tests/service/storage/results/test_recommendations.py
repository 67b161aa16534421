"""Recommendations: numbered versions for each combination."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ham.client.records import (
    Benchmark,
    CombinationFilter,
    Grade,
    NewRecommendation,
    Recommendation,
    StudyState,
)
from ham.client.records.lifecycle import Command
from ham.config import RECIPE_BASELINE, HamConfig
from service.storage import Storage
from tests.conftest import MovableClock
from tests.service.builders import a_result, claim, submit

LEASE = timedelta(seconds=15)


def recommend(
    storage: Storage, result: NewRecommendation | None = None, **changes: Any
) -> Recommendation:
    """End a new study with a recommendation."""
    submit(storage, **changes)
    claimed = storage.queue.claim("a", LEASE)
    assert claimed is not None
    return storage.queue.succeed(claimed[1], result or a_result())


def test_recommendation_is_read_as_it_was_stored(storage: Storage, clock: MovableClock) -> None:
    stored = recommend(storage, a_result(0.91))
    study = storage.studies.list()[0]
    assert NewRecommendation.model_validate(dict(stored)) == a_result(0.91)
    assert (stored.study_id, stored.combination) == (study.id, study.plan.combination)
    assert (stored.version, stored.created_at) == (1, clock.now)
    assert storage.recommendations.latest() == [stored]


def test_jointly_tuned_values_are_read_as_stored(storage: Storage) -> None:
    without = replace(RECIPE_BASELINE, learning_rate=2.0, weight_decay=10.0)
    setting = HamConfig(alpha=20.0, beta=0.01, learning_rate=0.5, alpha_schedule="cosine")
    update = {"control": without, "learning_rate": 0.05, "weight_decay": 5e-4}
    result = a_result(0.91, setting).model_copy(update=update)
    stored = recommend(storage, result, tune=["learning_rate", "weight_decay"])
    assert storage.recommendations.latest() == [stored]
    assert NewRecommendation.model_validate(dict(stored)) == result
    assert stored.is_joint and stored.compared == (without, setting)


def test_later_study_of_a_combination_makes_the_next_version(storage: Storage) -> None:
    recommend(storage, a_result(0.90))
    other = recommend(storage, sparsity=0.8)
    newer = recommend(storage, a_result(0.92, RECIPE_BASELINE))
    assert (other.version, newer.version) == (1, 2)
    assert storage.recommendations.latest() == [newer, other], "newest first, one each"


def test_failed_study_does_not_change_the_recommendation(storage: Storage) -> None:
    stored = recommend(storage)
    submit(storage)
    _, lease = claim(storage, "a", LEASE)
    storage.queue.fail(lease, "diverged everywhere")
    assert storage.recommendations.latest() == [stored]


def drain(storage: Storage, found: NewRecommendation | None) -> None:
    """Claim a new study, drain it, and release it with an early recommendation."""
    study_id = submit(storage)
    claimed = storage.queue.claim("a", LEASE)
    assert claimed is not None
    storage.studies.command(study_id, Command.DRAIN)
    storage.queue.release(claimed[1], "its trainings have ended", so_far=found)
    assert storage.studies.get(study_id).state == StudyState.CANCELLED


PROVISIONAL = a_result().model_copy(update={"grade": Grade.PROVISIONAL})


def test_drained_study_stores_an_early_recommendation(storage: Storage) -> None:
    before = storage.recommendations.version()
    drain(storage, PROVISIONAL)
    [stored] = storage.recommendations.latest()
    assert (stored.grade, stored.version) == (Grade.PROVISIONAL, 1)
    assert storage.recommendations.version() > before
    assert [found for _, found in storage.recommendations.news(before)] == [stored.combination]


def test_early_recommendation_never_replaces_a_measured_one(storage: Storage) -> None:
    measured = recommend(storage)
    drain(storage, PROVISIONAL)
    drain(storage, None)
    assert storage.recommendations.latest() == [measured]


def test_only_a_drained_study_stores_an_early_recommendation(storage: Storage) -> None:
    submit(storage)
    claimed = storage.queue.claim("a", LEASE)
    assert claimed is not None
    storage.queue.release(claimed[1], "told to stop", so_far=PROVISIONAL)
    assert storage.recommendations.latest() == []


@pytest.mark.parametrize(
    "which, expected",
    [
        (CombinationFilter(sparsifier="rigl"), ["rigl"]),
        (CombinationFilter(sparsity=0.9), ["rigl", "random"]),
        (CombinationFilter(sparsity=0.0, model="digits_cnn"), ["dense"]),
        (CombinationFilter(model="digits_mlp"), []),
    ],
)
def test_latest_filters_by_combination(
    storage: Storage, which: CombinationFilter, expected: list[str]
) -> None:
    recommend(storage, sparsifier="dense", sparsity=0.0)
    recommend(storage, sparsifier="random")
    recommend(storage, sparsifier="rigl")
    found = storage.recommendations.latest(which)
    assert [one.combination.sparsifier for one in found] == expected


def test_benchmarks_are_those_with_a_recommendation(storage: Storage) -> None:
    recommend(storage, sparsifier="random")
    recommend(storage, sparsifier="rigl")
    recommend(storage, sparsifier="dense", sparsity=0.0)
    submit(storage, model="digits_mlp")
    expected = [
        Benchmark(model="digits_cnn", dataset="digits", sparsity=sparsity, recipe="digits@1")
        for sparsity in (0.0, 0.9)
    ]
    assert storage.recommendations.benchmarks() == expected


def test_news_are_the_recommendations_after_a_version(storage: Storage) -> None:
    before = storage.recommendations.version()
    assert storage.recommendations.news(before) == []
    stored = [recommend(storage, sparsifier=name) for name in ("random", "rigl")]
    news = storage.recommendations.news(before)
    assert [combination for _, combination in news] == [one.combination for one in stored]
    assert news[-1][0] == storage.recommendations.version()
    assert storage.recommendations.news(news[0][0]) == news[1:]


def test_recommendations_come_in_pages(storage: Storage) -> None:
    for name in ("random", "rigl", "dense"):
        recommend(storage, sparsifier=name, sparsity=0.0 if name == "dense" else 0.9)
    recommend(storage, sparsifier="rigl")
    whole = storage.recommendations.latest()
    first = storage.recommendations.latest(limit=2)
    rest = storage.recommendations.latest(limit=2, before=first[-1].id)
    assert [*first, *rest] == whole
    assert len(rest) == 1
