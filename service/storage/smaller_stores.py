"""The smaller stores: sweeps, events, logs, fronts, combinations. The law: ``base.py``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from ham.client.records import (
    ALL_COMBINATIONS,
    LOCAL,
    CombinationEntry,
    CombinationFilter,
    LeftOut,
    LogLevel,
    LogLine,
    NewLogLine,
    ParetoFront,
    Plan,
    StudyEvent,
    StudyRequest,
    Sweep,
    SweepProgress,
    SweepRequest,
)
from service.records import StudyLease


class SweepStore(Protocol):
    """Sweeps: one request, many studies."""

    def submit(
        self,
        request: SweepRequest,
        planned: Sequence[tuple[StudyRequest, Plan]],
        left_out: Sequence[LeftOut],
        idempotency_key: str | None = None,
        *,
        submitter: str = LOCAL,
    ) -> tuple[Sweep, bool]:
        """Queue a study per plan, all or none; the flag tells whether the sweep is new.

        Raises:
            Conflict: the key was used for another request.
            LimitReached: the submitter would have more waiting than one may.
        """
        ...

    def get(self, sweep_id: str) -> Sweep:
        """Return a sweep. Raises NotFound."""
        ...

    def list(self, *, limit: int = 50, before: str | None = None) -> list[Sweep]:
        """Return sweeps, newest first, older than the id ``before``."""
        ...

    def progress(self, sweep_ids: Sequence[str]) -> dict[str, SweepProgress]:
        """Return how far sweeps are, by id."""
        ...


class EventStore(Protocol):
    """What happened to studies. Ids grow in the order in which events become visible."""

    def after(
        self, position: int, *, study_id: str | None = None, limit: int = 200
    ) -> list[StudyEvent]:
        """Return the events whose id is larger, oldest first; of one study, or of all."""
        ...

    def newest(self) -> int:
        """Return the id of the newest event, 0 before the first."""
        ...


class LogStore(Protocol):
    """What runners log of studies and runs, until it is forgotten."""

    def append(self, claim: StudyLease, lines: Sequence[NewLogLine]) -> None:
        """Store lines from whoever held the study last, also just after its end.

        Raises:
            StaleLease: another runner has taken it over.
        """
        ...

    def page(
        self,
        *,
        study_id: str | None = None,
        run_id: str | None = None,
        least: LogLevel = LogLevel.DEBUG,
        limit: int = 200,
        after: int = 0,
    ) -> list[LogLine]:
        """Return lines of a study or about a run, oldest first, whose id is larger.

        Args:
            study_id: only lines of this study.
            run_id: only lines about this run.
            least: only lines that matter as much.
            limit: at most so many.
            after: an id; 0 is before all.
        """
        ...

    def forget(self, before: datetime, *, dry_run: bool = False) -> int:
        """Remove the lines of studies that ended before a time; return how many."""
        ...


class ParetoFrontStore(Protocol):
    """Pareto fronts: what studies of two objectives end with."""

    def of_study(self, study_id: str) -> ParetoFront | None:
        """Return the front that a study has reached, if it has."""
        ...

    def list(
        self,
        which: CombinationFilter = ALL_COMBINATIONS,
        *,
        limit: int = 50,
        before: str | None = None,
    ) -> list[ParetoFront]:
        """Return fronts, those of the newest studies first, of studies older than ``before``.

        A front spans sparsities, so that of the filter is left out of account.
        """
        ...


class CombinationStore(Protocol):
    """Combinations that were ever asked for."""

    def get(self, combination_id: int) -> CombinationEntry:
        """Return a combination and what is known of it. Raises NotFound."""
        ...

    def list(
        self, which: CombinationFilter = ALL_COMBINATIONS, *, limit: int = 50, after: int = 0
    ) -> list[CombinationEntry]:
        """Return combinations in the order in which they were first asked for."""
        ...
