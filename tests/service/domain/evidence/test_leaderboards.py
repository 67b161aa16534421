"""Leaderboards: ranked by test accuracy, with ties where no difference is shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ham.client.records import NewRecommendation, Recommendation
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE
from service.domain.evidence.leaderboards import leaderboard, leaderboards, rank
from service.errors import NotFound
from service.storage import Storage
from tests.service.builders import SETTING, a_result, an_evidence, submit

SEEDS = range(2000, 2005)
WIGGLE = (0.001, -0.001, 0.0005, -0.0005, 0.0)


def around(mean: float, scale: float = 1.0) -> dict[int, float]:
    return {seed: mean + scale * wiggle for seed, wiggle in zip(SEEDS, WIGGLE, strict=True)}


def recommend(storage: Storage, evidence: tuple[Any, ...], **changes: Any) -> Recommendation:
    submit(storage, **changes)
    claimed = storage.queue.claim("a", timedelta(seconds=15))
    assert claimed is not None
    result = NewRecommendation(**(dict(a_result()) | {"evidence": evidence}))
    return storage.queue.succeed(claimed[1], result)


def test_entries_are_ordered_by_accuracy_over_all_studies_of_a_benchmark(
    storage: Storage,
) -> None:
    recommend(
        storage,
        (
            an_evidence("tuned", SETTING, around(0.93)),
            an_evidence("no HAM", RECIPE_BASELINE, around(0.90, -1)),
            an_evidence("paper", PAPER_DEFAULT, around(0.70)),
            an_evidence("finalist", SETTING, around(0.99)),
        ),
    )
    recommend(storage, (an_evidence("tuned", SETTING, around(0.95, 2)),), sparsifier="rigl")
    [board] = leaderboards(storage.recommendations)
    assert [(entry.rank, entry.sparsifier, entry.role) for entry in board.rows] == [
        (1, "rigl", "tuned"),
        (2, "random", "tuned"),
        (3, "random", "no HAM"),
        (4, "random", "paper"),
    ]
    assert leaderboard(storage.recommendations, board.benchmark.name) == board


def test_entries_have_the_trainings_of_a_run(storage: Storage) -> None:
    for sparsifier in ("random", "lrr"):
        recommend(storage, (an_evidence("tuned", SETTING, around(0.9)),), sparsifier=sparsifier)
    [board] = leaderboards(storage.recommendations)
    assert {entry.sparsifier: entry.trainings for entry in board.rows} == {"random": 1, "lrr": 12}


def test_entries_that_the_first_of_a_rank_does_not_beat_share_the_rank(storage: Storage) -> None:
    recommendation = recommend(
        storage,
        (
            an_evidence("tuned", SETTING, around(0.930, 5)),
            an_evidence("no HAM", RECIPE_BASELINE, around(0.929, -5)),
            an_evidence("paper", PAPER_DEFAULT, around(0.800)),
        ),
    )
    assert [entry.rank for entry in rank([recommendation])] == [1, 1, 3]


def test_entries_without_common_seeds_share_a_rank(storage: Storage) -> None:
    recommendation = recommend(
        storage,
        (
            an_evidence("tuned", SETTING, around(0.93)),
            an_evidence("no HAM", RECIPE_BASELINE, {1: 0.5, 2: 0.501}),
        ),
    )
    assert [entry.rank for entry in rank([recommendation])] == [1, 1]


def test_each_benchmark_has_its_own_leaderboard(storage: Storage) -> None:
    evidence = (an_evidence("tuned", SETTING, around(0.93)),)
    recommend(storage, evidence, sparsity=0.9)
    recommend(storage, evidence, sparsity=0.8)
    recommend(storage, evidence, model="digits_mlp")
    boards = leaderboards(storage.recommendations)
    assert [board.benchmark.name for board in boards] == [
        "digits_cnn-digits-0.80-digits@1",
        "digits_cnn-digits-0.90-digits@1",
        "digits_mlp-digits-0.90-digits@1",
    ]
    assert all(len(board.rows) == 1 for board in boards)
    for board in boards:
        assert leaderboard(storage.recommendations, board.benchmark.name) == board


def test_only_the_newest_recommendation_of_a_combination_is_ranked(storage: Storage) -> None:
    recommend(storage, (an_evidence("tuned", SETTING, around(0.99)),))
    newest = recommend(storage, (an_evidence("tuned", SETTING, around(0.93)),))
    [board] = leaderboards(storage.recommendations)
    assert [entry.study_id for entry in board.rows] == [newest.study_id]


def test_unknown_leaderboard_is_not_found_and_known_ones_are_named(storage: Storage) -> None:
    with pytest.raises(NotFound, match="none yet"):
        leaderboard(storage.recommendations, "digits")
    recommend(storage, (an_evidence("tuned", SETTING, around(0.93)),))
    with pytest.raises(NotFound, match=r"digits_cnn-digits-0\.90-digits@1"):
        leaderboard(storage.recommendations, "digits")
