"""What a storage does for operators and keys, and for data from elsewhere and to elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple, Protocol

from ham.client.records import (
    ALL_COMBINATIONS,
    CombinationFilter,
    EpochMetrics,
    ExternalRun,
    NewExternalRun,
    Purpose,
    Run,
    RunState,
    StudyState,
)
from ham.config import Combination
from service.records import UNLIMITED, ApiKey, Limits, Scope


class Snapshot(NamedTuple):
    """What is going on, for metrics.

    Attributes:
        studies: studies by state.
        claimable: studies that wait for a scheduler now.
        longest_wait: since the oldest of these was submitted.
        running_runs: runs under way by purpose.
        ended_runs: runs ended within the last five minutes, by purpose and state.
        schedulers: schedulers that hold a study.
    """

    studies: dict[StudyState, int]
    claimable: int
    longest_wait: timedelta
    running_runs: dict[Purpose, int]
    ended_runs: dict[tuple[Purpose, RunState], int]
    schedulers: int


class ExternalRunStore(Protocol):
    """Runs made elsewhere, apart from our own."""

    def add(
        self, run: NewExternalRun, combination: Combination, submitter: str | None
    ) -> ExternalRun:
        """Store a run."""
        ...

    def list(
        self,
        which: CombinationFilter = ALL_COMBINATIONS,
        limit: int = 50,
        before: str | None = None,
    ) -> list[ExternalRun]:
        """Return runs, newest first, older than the id ``before``."""
        ...


class Exports(Protocol):
    """Everything, however much it is."""

    def runs(
        self, which: CombinationFilter = ALL_COMBINATIONS, purpose: Purpose | None = None
    ) -> Iterator[list[tuple[Run, Combination]]]:
        """Yield pages of runs with their combinations, oldest first."""
        ...

    def curves(
        self, which: CombinationFilter = ALL_COMBINATIONS
    ) -> Iterator[list[tuple[str, EpochMetrics]]]:
        """Yield pages of points of learning curves with their runs' ids, run by run."""
        ...


class KeyStore(Protocol):
    """API keys: given out, looked up with every request, revoked."""

    def create(self, name: str, scope: Scope, limits: Limits = UNLIMITED) -> tuple[ApiKey, str]:
        """Make a key; return it with its text, which is stored nowhere."""
        ...

    def list(self) -> list[ApiKey]:
        """Return all keys, the revoked ones too, oldest first."""
        ...

    def revoke(self, key_id: str) -> ApiKey:
        """End a key; one that has ended stays as it is. Raises NotFound."""
        ...

    def verify(self, token: str) -> ApiKey | None:
        """Return the live key whose text this is, else None; note that it was used."""
        ...


class Monitor(Protocol):
    """What operators ask."""

    def check(self) -> None:
        """Raise NotReady unless the tables are those of this version of the service."""
        ...

    def snapshot(self) -> Snapshot:
        """Return what is going on now."""
        ...
