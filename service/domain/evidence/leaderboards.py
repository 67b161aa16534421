"""Rankings at equal model, dataset, sparsity and recipe, made from the latest recommendations.

Iterative pruning goes through the recipe several times; ``trainings`` of an entry says how often.
"""

from __future__ import annotations

from collections.abc import Iterable

from ham.catalog import SPARSIFIERS
from ham.client.records import (
    Benchmark,
    CombinationFilter,
    Evidence,
    Leaderboard,
    LeaderboardEntry,
    Recommendation,
)
from service.domain.evidence.statistics import differ
from service.domain.ports import RecommendationReads
from service.domain.transfer.published import published_for
from service.errors import NotFound

RANKED = ("tuned", "no HAM", "paper")
"""Roles of evidence that are ranked."""
_MAX_NAMED = 10
"""Leaderboards that an error text names."""


def leaderboard(store: RecommendationReads, name: str) -> Leaderboard:
    """Return one leaderboard by its benchmark's name. Raises NotFound."""
    benchmarks = {benchmark.name: benchmark for benchmark in store.benchmarks()}
    if name not in benchmarks:
        some = ", ".join(list(benchmarks)[:_MAX_NAMED]) or "none yet"
        raise NotFound(f"there is no leaderboard {name!r}; GET /v1/benchmarks lists all: {some}")
    return _of(store, benchmarks[name])


def page(store: RecommendationReads, limit: int, after: str) -> list[Leaderboard]:
    """Return at most ``limit`` leaderboards whose names come after ``after``, in order of name."""
    benchmarks = sorted(store.benchmarks(), key=lambda benchmark: benchmark.name)
    following = [benchmark for benchmark in benchmarks if benchmark.name > after]
    return [_of(store, benchmark) for benchmark in following[:limit]]


def leaderboards(store: RecommendationReads) -> list[Leaderboard]:
    """Return every leaderboard, in order of name."""
    boards: dict[str, tuple[Benchmark, list[Recommendation]]] = {}
    for recommendation in store.latest():
        benchmark = benchmark_of(recommendation)
        boards.setdefault(benchmark.name, (benchmark, []))[1].append(recommendation)
    return [
        _board(benchmark, recommendations)
        for _, (benchmark, recommendations) in sorted(boards.items())
    ]


def _of(store: RecommendationReads, benchmark: Benchmark) -> Leaderboard:
    which = CombinationFilter(**benchmark.model_dump(exclude={"name"}))
    return _board(benchmark, store.latest(which))


def _board(benchmark: Benchmark, recommendations: Iterable[Recommendation]) -> Leaderboard:
    entries = rank(recommendations)
    return Leaderboard(
        benchmark=benchmark,
        rows=entries,
        environments=tuple(sorted({label for entry in entries for label in entry.environments})),
        published=published_for(benchmark.model, benchmark.dataset, benchmark.sparsity),
    )


def benchmark_of(recommendation: Recommendation) -> Benchmark:
    """Return the benchmark that a recommendation's combination belongs to."""
    combination = recommendation.combination
    return Benchmark(
        model=combination.model,
        dataset=combination.dataset,
        sparsity=combination.sparsity,
        recipe=combination.recipe,
    )


def rank(recommendations: Iterable[Recommendation]) -> tuple[LeaderboardEntry, ...]:
    """Rank evidence by mean test accuracy, the highest first.

    An entry shares the rank of the entry before it, unless the first entry of that rank is better:
    unless the 95 % interval of their difference, paired by seed, excludes zero.
    """
    ranked = [
        (recommendation, evidence)
        for recommendation in recommendations
        for evidence in recommendation.evidence
        if evidence.role in RANKED and evidence.test_accuracy is not None
    ]
    ranked.sort(key=lambda pair: -_mean(pair[1]))
    entries: list[LeaderboardEntry] = []
    first: Evidence | None = None
    for position, (recommendation, evidence) in enumerate(ranked, start=1):
        if first is None or differ(first.test_accuracies, evidence.test_accuracies):
            first, number = evidence, position
        entries.append(_entry(number, recommendation, evidence))
    return tuple(entries)


def _mean(evidence: Evidence) -> float:
    assert evidence.test_accuracy is not None
    return evidence.test_accuracy.mean


def _entry(number: int, recommendation: Recommendation, evidence: Evidence) -> LeaderboardEntry:
    assert evidence.test_accuracy is not None
    combination = recommendation.combination
    return LeaderboardEntry(
        rank=number,
        sparsifier=combination.sparsifier,
        optimizer=combination.optimizer,
        role=evidence.role,
        trainings=combination.trainings if combination.sparsifier in SPARSIFIERS else None,
        setting=evidence.setting,
        test_accuracy=evidence.test_accuracy,
        sparsity=evidence.sparsity,
        combination=combination.key,
        study_id=recommendation.study_id,
        environments=evidence.environments,
    )
