"""The home page: studies under way, recommendations, Pareto fronts and leaderboards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request, Response

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
from service.api.dependencies import StorageDep
from service.clock import utc_now
from service.domain.evidence.leaderboards import leaderboards
from service.domain.planning.progress import progress_of
from service.storage import Storage
from service.web.templating import page_response

router = APIRouter()

ACTIVE = (*HELD, StudyState.QUEUED, StudyState.PAUSED)
MOST_ACTIVE = 50
MOST_FAILED = 5
MOST_PARETO_FRONTS = 20


@dataclass(frozen=True)
class Axis:
    """A horizontal axis from ``low`` to ``high``."""

    low: float
    high: float

    @classmethod
    def around(cls, estimates: list[Estimate], *also: float) -> Axis:
        """Return an axis that contains all intervals and the values ``also``, with a margin."""
        ends = [end for estimate in estimates for end in (estimate.low, estimate.high)]
        values = [*ends, *also]
        low, high = min(values, default=0.0), max(values, default=1.0)
        margin = 0.06 * (high - low) or 0.01
        return cls(low - margin, high + margin)

    def coordinate(self, value: float) -> float:
        """Return where a value lies on the axis, in percent of its width."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)


@dataclass(frozen=True)
class StudyCard:
    """A study and its progress."""

    study: Study
    progress: Progress


@dataclass(frozen=True)
class Board:
    """A leaderboard and the axis of its accuracies."""

    board: Leaderboard
    axis: Axis


@dataclass(frozen=True)
class HomePage:
    """Everything on the home page."""

    active: list[StudyCard]
    more_active: bool
    recommendations: list[Recommendation]
    gains: Axis
    pareto_fronts: list[ParetoFront]
    boards: list[Board]
    failed: list[Study]

    @property
    def is_empty(self) -> bool:
        """True where no study was ever submitted."""
        return not (self.active or self.recommendations or self.pareto_fronts or self.failed)


@router.get("/")
def show_home(request: Request, storage: StorageDep) -> Response:
    """Show studies under way, recommendations, Pareto fronts and leaderboards."""
    address = str(request.base_url).rstrip("/")
    return page_response(request, "home.html", page=home_page(storage, utc_now()), address=address)


def home_page(storage: Storage, now: datetime) -> HomePage:
    """Read everything on the home page, in a few queries."""
    recommendations = sorted(
        storage.recommendations.latest(), key=lambda found: found.combination.key
    )
    by_state = [storage.studies.list(state=state, limit=MOST_ACTIVE) for state in ACTIVE]
    active = [study for studies in by_state for study in reversed(studies)]
    progress = progress_of(storage.run_counts, active, now)
    return HomePage(
        active=[StudyCard(study, progress[study.id]) for study in active],
        more_active=MOST_ACTIVE in map(len, by_state),
        recommendations=recommendations,
        gains=Axis.around([found.gain for found in recommendations if found.gain], 0.0),
        pareto_fronts=storage.pareto_fronts.list(limit=MOST_PARETO_FRONTS),
        boards=[
            Board(board, Axis.around([entry.test_accuracy for entry in board.rows]))
            for board in leaderboards(storage.recommendations)
        ],
        failed=storage.studies.list(state=StudyState.FAILED, limit=MOST_FAILED),
    )
