"""The smaller stores that a storage holds: sweeps, events, combinations. The law: ``base.py``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from service.records import (
    ALL_COMBINATIONS,
    LOCAL,
    CombinationEntry,
    CombinationFilter,
    LeftOut,
    Plan,
    StudyEvent,
    StudyRequest,
    Sweep,
    SweepProgress,
    SweepRequest,
)


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
