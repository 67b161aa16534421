"""What the front page shows, read from the storage in a few queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ham.client.records import (
    HELD,
    Estimate,
    Leaderboard,
    ParetoFront,
    Progress,
    Recommendation,
    Study,
    StudyState,
)
from service.domain.evidence.leaderboards import leaderboards
from service.domain.planning.progress import progress_of
from service.storage import Storage

ACTIVE = (*HELD, StudyState.QUEUED, StudyState.PAUSED)
MOST_ACTIVE = 50
MOST_FAILED = 5
MOST_FRONTS = 20


@dataclass(frozen=True)
class Axis:
    """A horizontal axis that places values in percent of its width."""

    low: float
    high: float

    @classmethod
    def around(cls, estimates: list[Estimate], *also: float) -> Axis:
        """Return an axis that holds all intervals and the values ``also``, with a margin."""
        values = [value for row in estimates for value in (row.low, row.high)] + list(also)
        low, high = min(values, default=0.0), max(values, default=1.0)
        margin = 0.06 * (high - low) or 0.01
        return cls(low - margin, high + margin)

    def coordinate(self, value: float) -> float:
        """Return where a value stands, 0 to 100."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)


@dataclass(frozen=True)
class StudyCard:
    """A study and how far it is."""

    study: Study
    progress: Progress


@dataclass(frozen=True)
class Board:
    """A leaderboard and the axis of its accuracies."""

    board: Leaderboard
    axis: Axis


@dataclass(frozen=True)
class Overview:
    """Everything on the front page."""

    active: list[StudyCard]
    more_active: bool
    recommendations: list[Recommendation]
    gains: Axis
    fronts: list[ParetoFront]
    boards: list[Board]
    failed: list[Study]

    @property
    def is_empty(self) -> bool:
        """True where nothing was ever asked for."""
        return not (self.active or self.recommendations or self.fronts or self.failed)


def overview(storage: Storage, now: datetime) -> Overview:
    """Read the front page's contents."""
    recommendations = sorted(storage.recommendations.latest(), key=lambda row: row.combination.key)
    by_state = [storage.studies.list(state=state, limit=MOST_ACTIVE) for state in ACTIVE]
    active = [study for studies in by_state for study in reversed(studies)]
    progress = progress_of(storage.run_counts, active, now)
    return Overview(
        active=[StudyCard(study, progress[study.id]) for study in active],
        more_active=MOST_ACTIVE in map(len, by_state),
        recommendations=recommendations,
        gains=Axis.around([row.gain for row in recommendations if row.gain], 0.0),
        fronts=storage.fronts.list(limit=MOST_FRONTS),
        boards=[
            Board(board, Axis.around([row.test_accuracy for row in board.rows]))
            for board in leaderboards(storage.recommendations)
        ],
        failed=storage.studies.list(state=StudyState.FAILED, limit=MOST_FAILED),
    )
