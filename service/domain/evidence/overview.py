"""All leaderboards in one look: how often tuned HAM wins, and which methods rank high."""

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
    """Return what all leaderboards say together."""
    recommendations, boards = store.latest(), leaderboards(store)
    grades = Counter(row.grade for row in recommendations)
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
        by_role = {row.role: row for row in recommendation.evidence}
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
    """Return every method and role, best share of comparisons won first."""
    places: dict[tuple[str, str, str], list[tuple[LeaderboardEntry, float]]] = defaultdict(list)
    for board in boards:
        for row in board.rows:
            key = (row.sparsifier, row.optimizer, row.role)
            places[key].append((row, _share_beaten(row, board.rows)))
    methods = [
        Method(
            sparsifier=sparsifier,
            optimizer=optimizer,
            role=role,
            benchmarks=len(found),
            firsts=sum(row.rank == 1 for row, _ in found),
            mean_rank=fmean(row.rank for row, _ in found),
            win_rate=fmean(share for _, share in found),
        )
        for (sparsifier, optimizer, role), found in places.items()
    ]
    methods.sort(key=lambda row: (-row.win_rate, row.sparsifier, row.optimizer, row.role))
    return tuple(methods)


def _share_beaten(row: LeaderboardEntry, rows: Sequence[LeaderboardEntry]) -> float:
    """Return the share of the others on a board that a row is before; a tie is half a win."""
    others = len(rows) - 1
    if not others:
        return 0.5
    behind = sum(other.rank > row.rank for other in rows)
    ties = sum(other.rank == row.rank for other in rows) - 1
    return (behind + ties / 2) / others
