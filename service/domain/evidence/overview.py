"""What all leaderboards show together: how often tuned HAM wins, and which methods rank high."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import fmean

from ham.client.records import (
    Comparison,
    Evidence,
    Leaderboard,
    LeaderboardEntry,
    Method,
    Overview,
    Recommendation,
)
from service.domain.evidence.leaderboards import RANKED, leaderboards
from service.domain.evidence.statistics import paired_gain
from service.domain.ports import RecommendationReads


def overview(store: RecommendationReads) -> Overview:
    """Return the comparisons and the methods of all leaderboards."""
    recommendations, boards = store.latest(), leaderboards(store)
    grades = Counter(recommendation.grade for recommendation in recommendations)
    return Overview(
        benchmarks=len(boards),
        combinations=len(recommendations),
        grades=dict(sorted(grades.items())),
        environments=tuple(sorted({label for board in boards for label in board.environments})),
        settings=tuple(
            _compared(recommendations, role, other) for role, other in combinations(RANKED, 2)
        ),
        methods=_methods(boards),
    )


def _compared(recommendations: Iterable[Recommendation], role: str, other: str) -> Comparison:
    """Compare two roles within each combination, paired by seed."""
    gains = []
    for recommendation in recommendations:
        by_role = {evidence.role: evidence for evidence in recommendation.evidence}
        if (pair := _pair(by_role.get(role), by_role.get(other))) is not None:
            gains.append(paired_gain(*pair))
    return Comparison(
        role=role,
        other=other,
        combinations=len(gains),
        wins=sum(gain.low > 0 for gain in gains),
        losses=sum(gain.high < 0 for gain in gains),
        mean_gain=fmean(gain.mean for gain in gains) if gains else None,
    )


def _pair(
    one: Evidence | None, other: Evidence | None
) -> tuple[dict[int, float], dict[int, float]] | None:
    if one is None or other is None:
        return None
    tests = one.test_accuracies, other.test_accuracies
    return tests if len(tests[0].keys() & tests[1].keys()) >= 2 else None


def _methods(boards: Sequence[Leaderboard]) -> tuple[Method, ...]:
    """Return every method and role, the highest share of comparisons won first."""
    entries: dict[tuple[str, str, str], list[tuple[LeaderboardEntry, float]]] = defaultdict(list)
    for board in boards:
        for entry in board.rows:
            method = (entry.sparsifier, entry.optimizer, entry.role)
            entries[method].append((entry, _share_beaten(entry, board.rows)))
    methods = [
        Method(
            sparsifier=sparsifier,
            optimizer=optimizer,
            role=role,
            benchmarks=len(found),
            firsts=sum(entry.rank == 1 for entry, _ in found),
            mean_rank=fmean(entry.rank for entry, _ in found),
            win_rate=fmean(share for _, share in found),
        )
        for (sparsifier, optimizer, role), found in entries.items()
    ]
    methods.sort(key=lambda method: (-method.win_rate, *_name(method)))
    return tuple(methods)


def _name(method: Method) -> tuple[str, str, str]:
    return method.sparsifier, method.optimizer, method.role


def _share_beaten(entry: LeaderboardEntry, entries: Sequence[LeaderboardEntry]) -> float:
    """Return the share of a board's other entries that rank behind one; a tie counts half."""
    others = len(entries) - 1
    if not others:
        return 0.5
    behind = sum(other.rank > entry.rank for other in entries)
    ties = sum(other.rank == entry.rank for other in entries) - 1
    return (behind + ties / 2) / others
