"""What any storage must do. The law, before the methods:

**Transactions.** Each method is one transaction: all of it happens, or none.

**Copies.** Values returned are immutable copies, never changed by later writes.

**Claims.** At most one live claim on a study. Claiming again (after the lease ran out) raises the
fencing token; every write that carries an older token raises :class:`StaleLease` and writes
nothing, and so does a write to a study that has ended.

**Runs.** (study, job) is unique: beginning a job that has already ended returns the ended run
untouched, so no training is counted twice. A run that has ended never changes. It belongs to the
combination that was trained: its study's, at the job's sparsity where the job names one.

**Ends.** What a study has found is stored in the transaction that ends it: a recommendation of its
combination, or, of a study of two objectives, a Pareto front and no recommendation.

**Transitions.** A study goes only the ways of ``ham.client.records.lifecycle.TRANSITIONS``; the
database refuses any other. Each is noted as an event: who, when, why. What ends a study ends its
runs under way, as cancelled. Ids of events grow in the order of the commits: whoever has seen all
up to one and asks for those after it misses none.

**Lost is not failed.** A study whose runner vanished goes back to be claimed; it fails only when
its runner says so, or when too many runners were lost over it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from ham.client.records import (
    ALL_COMBINATIONS,
    LOCAL,
    Benchmark,
    CombinationFilter,
    Command,
    EpochMetrics,
    Plan,
    Purpose,
    Recommendation,
    Run,
    RunState,
    Study,
    StudyRequest,
    StudyState,
    SurfaceGrid,
)
from ham.config import Combination, HamConfig
from service.records import Job, Outcome, StudyLease
from service.storage.operator_protocols import Exports, ExternalRunStore, KeyStore, Monitor
from service.storage.queue_protocol import Queue
from service.storage.smaller_stores import (
    CombinationStore,
    EventStore,
    LogStore,
    ParetoFrontStore,
    SweepStore,
)


class RunCount(NamedTuple):
    """Runs of one study, purpose and state, and when the first of them began."""

    study_id: str
    purpose: Purpose
    state: RunState
    runs: int
    first_started_at: datetime


class BestRun(NamedTuple):
    """The finished search run of one study with the best validation accuracy."""

    study_id: str
    run_id: str
    setting: HamConfig
    validation_accuracy: float


class StudyRunCounts(NamedTuple):
    """What the runs of one study amount to; nothing is counted that there is not."""

    counts: tuple[RunCount, ...]
    best: BestRun | None


Edit = Callable[[Study], Study]
"""Returns a study with another priority or plan; called while the study is locked."""


class StudyStore(Protocol):
    """Studies: submitted once, read often."""

    def submit(
        self,
        request: StudyRequest,
        plan: Plan,
        idempotency_key: str | None = None,
        *,
        submitter: str = LOCAL,
    ) -> tuple[Study, bool]:
        """Queue a study; the flag tells whether it is new.

        The same key of the same submitter and the same request give the study that is already
        there, for as long as keys are kept.

        Raises:
            Conflict: the key was used for another request.
            LimitReached: the submitter has as many waiting as one may.
        """
        ...

    def command(
        self, study_id: str, command: Command, *, by: str = LOCAL, reason: str | None = None
    ) -> Study:
        """Cancel, pause, resume or drain a study; where it already is, nothing happens.

        Raises:
            NotFound: there is no such study.
            Conflict: no way leads there from its state.
        """
        ...

    def change(self, study_id: str, edit: Edit, *, by: str = LOCAL) -> Study:
        """Give a study that has not ended the priority and the plan that ``edit`` returns.

        Raises:
            NotFound: there is no such study.
            Conflict: it has ended. What ``edit`` raises is passed on, and nothing changes.
        """
        ...

    def get(self, study_id: str) -> Study:
        """Return a study. Raises NotFound."""
        ...

    def list(
        self,
        *,
        state: StudyState | None = None,
        which: CombinationFilter = ALL_COMBINATIONS,
        submitter: str | None = None,
        sweep_id: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Study]:
        """Return studies, newest first, older than the id ``before``."""
        ...


class RunStore(Protocol):
    """Runs of studies and their learning curves."""

    def begin(
        self, claim: StudyLease, job: Job, epochs: int, same_as: Mapping[str, Any] | None = None
    ) -> Run:
        """Begin the run of a job, or return it if it has already ended. Raises StaleLease.

        With ``same_as``, an environment, a succeeded run of any study that is identical in
        combination, setting, seed and environment is reused: the run begins and ends at once
        with its result, points to it and costs nothing.
        """
        ...

    def progress(self, claim: StudyLease, run_id: str, metrics: EpochMetrics) -> None:
        """Note the newest epoch of a running run. Raises StaleLease."""
        ...

    def end(self, claim: StudyLease, run_id: str, outcome: Outcome) -> Run:
        """End a running run with its outcome and its curve. Raises StaleLease."""
        ...

    def get(self, run_id: str) -> Run:
        """Return a run. Raises NotFound."""
        ...

    def of_study(self, study_id: str, purpose: Purpose | None = None) -> list[Run]:
        """Return the runs of a study, oldest first."""
        ...

    def page(
        self,
        *,
        which: CombinationFilter = ALL_COMBINATIONS,
        study_id: str | None = None,
        purpose: Purpose | None = None,
        state: RunState | None = None,
        limit: int = 50,
        before: str | None = None,
        after: str | None = None,
    ) -> list[Run]:
        """Return runs, newest first, older than the id ``before``.

        With ``after`` it is oldest first, newer than that id; the empty text is before all.
        """
        ...

    def earlier(self, study_id: str) -> list[Run]:
        """Return what other studies of the combination had found out when this study began.

        Those are the runs of their searches and screenings that had ended before it was first
        claimed, oldest first; none before that. The same ones, whenever it is asked.
        """
        ...

    def trainings(self, which: CombinationFilter, limit: int) -> list[Run]:
        """Return the trainings behind the newest ``limit`` succeeded runs, each once.

        A reused run stands for its original.
        """
        ...

    def curve(self, run_id: str) -> list[EpochMetrics]:
        """Return the learning curve of an ended run. Raises NotFound."""
        ...

    def accuracies(self, study_id: str, epochs: Sequence[int]) -> dict[str, dict[int, float]]:
        """Return the validation accuracies of a study's ended search runs after some epochs.

        By run and epoch; a reused run has those of its original.
        """
        ...


class RunCountStore(Protocol):
    """What the runs of studies amount to."""

    def of(self, studies: Sequence[Study]) -> dict[str, StudyRunCounts]:
        """Return the tally of each study by its id."""
        ...


class RecommendationStore(Protocol):
    """Recommendations, one line of versions per combination."""

    def latest(
        self,
        which: CombinationFilter = ALL_COMBINATIONS,
        *,
        limit: int | None = None,
        before: str | None = None,
    ) -> list[Recommendation]:
        """Return the newest recommendation of each combination that matches, newest first.

        At most ``limit`` of them, older than the id ``before``.
        """
        ...

    def history(
        self, combination_id: int, *, limit: int = 50, before: int | None = None
    ) -> list[Recommendation]:
        """Return the versions of a combination's recommendation, newest first.

        At most ``limit`` of them, older than the version ``before``.
        """
        ...

    def version(self) -> int:
        """Return a number that grows with every recommendation, in the same transaction."""
        ...

    def news(self, version: int) -> list[tuple[int, Combination]]:
        """Return the recommendations made after a version: of each its version and combination.

        In the order of the versions. It costs little where there is none.
        """
        ...

    def changed_at(self) -> datetime | None:
        """Return when the newest recommendation was made; None before the first."""
        ...

    def of_study(self, study_id: str) -> Recommendation | None:
        """Return the version that a study has reached, if it has."""
        ...

    def surface(self, recommendation_id: str) -> SurfaceGrid:
        """Return the response surface behind a recommendation. Raises NotFound."""
        ...

    def benchmarks(self) -> list[Benchmark]:
        """Return every benchmark that has at least one recommendation."""
        ...


class Storage(Protocol):
    """All of it, over one database."""

    @property
    def studies(self) -> StudyStore:
        """Studies."""
        ...

    @property
    def queue(self) -> Queue:
        """Who works on which study."""
        ...

    @property
    def combinations(self) -> CombinationStore:
        """Combinations."""
        ...

    @property
    def sweeps(self) -> SweepStore:
        """Sweeps."""
        ...

    @property
    def events(self) -> EventStore:
        """What happened to studies."""
        ...

    @property
    def logs(self) -> LogStore:
        """What runners log."""
        ...

    @property
    def runs(self) -> RunStore:
        """Runs and curves."""
        ...

    @property
    def run_counts(self) -> RunCountStore:
        """What runs amount to."""
        ...

    @property
    def recommendations(self) -> RecommendationStore:
        """Recommendations."""
        ...

    @property
    def fronts(self) -> ParetoFrontStore:
        """Pareto fronts."""
        ...

    @property
    def external_runs(self) -> ExternalRunStore:
        """Runs made elsewhere."""
        ...

    @property
    def exports(self) -> Exports:
        """Everything, page by page."""
        ...

    @property
    def keys(self) -> KeyStore:
        """API keys."""
        ...

    @property
    def monitor(self) -> Monitor:
        """What operators ask."""
        ...
