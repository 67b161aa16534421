"""The store of runs and learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from ham.client.records import (
    ALL_COMBINATIONS,
    CombinationFilter,
    EpochMetrics,
    EventKind,
    Purpose,
    Run,
    RunState,
)
from service.clock import Clock
from service.errors import NotFound, StaleLease
from service.ids import new_id
from service.records import Job, Outcome, StudyLease
from service.storage.engine.database import Database
from service.storage.engine.event_log import note_event
from service.storage.engine.keyset import newest
from service.storage.engine.mapping import column_values, set_columns
from service.storage.engine.retries import retry_transactions
from service.storage.results.combinations import matches
from service.storage.runs.rows import (
    epoch_record,
    find_identical,
    job_columns,
    outcome_columns,
    reuse,
    run_record,
)
from service.storage.studies.leases import lock_leased_study
from service.storage.tables import RunMetricRow, RunRow, StudyRow


@retry_transactions
class RunStore:
    """Runs of studies and their learning curves."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def begin(
        self, lease: StudyLease, job: Job, epochs: int, same_as: Mapping[str, Any] | None = None
    ) -> Run:
        """Begin the run of a job and return it; a run that has ended is returned unchanged.

        A run of this job that another runner had begun starts again from its first epoch.

        Args:
            lease: the lease of the study.
            job: the training.
            epochs: epochs of the whole training.
            same_as: an environment. If a succeeded run of any study has the same combination,
                configuration, seed and environment, its result is reused: the new run ends at
                once, refers to that run and costs nothing.

        Raises:
            StaleLease: the lease is no longer valid.
        """
        with self._database.write() as session:
            study = lock_leased_study(session, lease)
            planned = {
                **job_columns(session, study, job),
                "epochs": epochs,
                "epochs_done": 0,
                "started_at": self._clock(),
            }
            row = session.scalars(
                select(RunRow).where(RunRow.study_id == study.id, RunRow.job == job.name)
            ).one_or_none()
            if row is None:
                row = RunRow(
                    id=new_id("run"), study_id=study.id, state=RunState.RUNNING, **planned
                )
                session.add(row)
                if same_as is not None and (original := find_identical(session, row, same_as)):
                    reuse(row, original)
                    study.runs_ended += 1
            elif row.state == RunState.RUNNING:  # its runner was lost, so it starts again
                set_columns(row, planned)
                row.attempt += 1
                row.validation_accuracy = None
            else:
                return run_record(row)
            session.flush()
            self._note(session, study, row)
            return run_record(row)

    def progress(self, lease: StudyLease, run_id: str, metrics: EpochMetrics) -> None:
        """Store the newest epoch of a running run.

        Raises:
            StaleLease: the lease is no longer valid, or the run has ended.
        """
        with self._database.write() as session:
            row = self._running(session, lease, run_id)
            row.epochs_done = metrics.epoch
            row.validation_accuracy = metrics.validation_accuracy

    def end(self, lease: StudyLease, run_id: str, outcome: Outcome) -> Run:
        """End a running run; store its outcome and its learning curve.

        Raises:
            StaleLease: the lease is no longer valid, or the run has ended.
        """
        with self._database.write() as session:
            row = self._running(session, lease, run_id)
            set_columns(row, outcome_columns(outcome))
            row.ended_at = self._clock()
            session.add_all(
                RunMetricRow(run_id=run_id, **column_values(point, RunMetricRow))
                for point in outcome.curve
            )
            study = session.get_one(StudyRow, lease.study_id)
            study.seconds += row.seconds or 0.0
            study.gpu_seconds += row.gpu_seconds or 0.0
            study.runs_ended += 1
            session.flush()
            self._note(session, study, row)
            return run_record(row)

    def get(self, run_id: str) -> Run:
        """Return a run.

        Raises:
            NotFound: there is no such run.
        """
        with self._database.read() as session:
            row = session.get(RunRow, run_id)
            if row is None:
                raise NotFound(f"there is no run {run_id!r}")
            return run_record(row)

    def of_study(self, study_id: str, purpose: Purpose | None = None) -> list[Run]:
        """Return the runs of a study, oldest first."""
        query = (
            select(RunRow)
            .where(RunRow.study_id == study_id)
            .order_by(RunRow.id)
            .options(joinedload(RunRow.combination))
        )
        if purpose is not None:
            query = query.where(RunRow.purpose == purpose)
        with self._database.read() as session:
            return [run_record(row) for row in session.scalars(query)]

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
        """Return at most ``limit`` runs, newest first, with ids below ``before``.

        With ``after``, return runs oldest first, with ids above ``after``; the empty text is below
        every id.
        """
        wanted = {"study_id": study_id, "purpose": purpose, "state": state}
        if after is None:
            query = newest(RunRow, which, limit, before, **wanted)
        else:
            equal = {name: value for name, value in wanted.items() if value is not None}
            query = select(RunRow).filter_by(**equal).where(RunRow.id > after)
            query = query.join(RunRow.combination).where(*matches(which))
            query = query.order_by(RunRow.id).limit(limit)
        with self._database.read() as session:
            found = session.scalars(query.options(joinedload(RunRow.combination)))
            return [run_record(row) for row in found]

    def earlier(self, study_id: str) -> list[Run]:
        """Return the search and screening runs of other studies of the combination, oldest first.

        Only runs that had ended before the study was first claimed are returned, so every call
        returns the same runs. There are none before the first claim.
        """
        query = (
            select(RunRow)
            .join(StudyRow, RunRow.combination_id == StudyRow.combination_id)
            .where(
                StudyRow.id == study_id,
                RunRow.study_id != study_id,
                RunRow.purpose.in_((Purpose.SEARCH, Purpose.SCREENING)),
                RunRow.state != RunState.RUNNING,
                RunRow.ended_at < StudyRow.started_at,
            )
            .order_by(RunRow.id)
            .options(joinedload(RunRow.combination))
        )
        with self._database.read() as session:
            return [run_record(row) for row in session.scalars(query)]

    def trainings(self, which: CombinationFilter, limit: int) -> list[Run]:
        """Return the trainings behind the newest ``limit`` succeeded runs, each once.

        A reused run is replaced by its original.
        """
        runs = newest(RunRow, which, limit, None, state=RunState.SUCCEEDED).subquery()
        ids = select(func.coalesce(runs.c.reused_from, runs.c.id))
        query = select(RunRow).where(RunRow.id.in_(ids)).options(joinedload(RunRow.combination))
        with self._database.read() as session:
            return [run_record(row) for row in session.scalars(query)]

    def curve(self, run_id: str) -> list[EpochMetrics]:
        """Return the learning curve of an ended run. A reused run has the curve of its original.

        Raises:
            NotFound: there is no such run.
        """
        trained = self.get(run_id).reused_from or run_id
        query = (
            select(RunMetricRow).where(RunMetricRow.run_id == trained).order_by(RunMetricRow.epoch)
        )
        with self._database.read() as session:
            return [epoch_record(row) for row in session.scalars(query)]

    def accuracies(self, study_id: str, epochs: Sequence[int]) -> dict[str, dict[int, float]]:
        """Return validation accuracies of the ended search runs of a study, by run id and epoch.

        Only the given epochs are returned. A reused run has the accuracies of its original.
        """
        trained = func.coalesce(RunRow.reused_from, RunRow.id)
        query = (
            select(RunRow.id, RunMetricRow.epoch, RunMetricRow.validation_accuracy)
            .join(RunMetricRow, RunMetricRow.run_id == trained)
            .where(
                RunRow.study_id == study_id,
                RunRow.purpose == Purpose.SEARCH,
                RunMetricRow.epoch.in_(epochs),
            )
            .order_by(RunRow.id, RunMetricRow.epoch)
        )
        found: dict[str, dict[int, float]] = {}
        with self._database.read() as session:
            for run_id, epoch, accuracy in session.execute(query):
                found.setdefault(run_id, {})[epoch] = accuracy
        return found

    def _note(self, session: Session, study: StudyRow, run: RunRow) -> None:
        """Note an event of the study: a run began or ended."""
        details = {
            "run_id": run.id,
            "purpose": run.purpose.value,
            "trial_number": run.trial_number,
            "setting": {"alpha": run.alpha, "beta": run.beta, **(run.joint or {})},
            "seed": run.seed,
            "state": run.state.value,
            "validation_accuracy": run.validation_accuracy,
        }
        note_event(
            session, self._clock, study, EventKind.RUN, by=study.lease_owner, details=details
        )

    def _running(self, session: Session, lease: StudyLease, run_id: str) -> RunRow:
        lock_leased_study(session, lease)
        row = session.get(RunRow, run_id)
        if row is None or row.study_id != lease.study_id or row.state != RunState.RUNNING:
            raise StaleLease(f"run {run_id} is not running in study {lease.study_id}")
        return row
