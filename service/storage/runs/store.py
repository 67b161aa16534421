"""Runs and their curves in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
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
from ham.config import Combination, HamConfig
from service.clock import Clock
from service.errors import NotFound, StaleLease
from service.ids import new_id
from service.records import Job, Outcome, StudyLease
from service.storage.engine.database import Database
from service.storage.engine.event_log import note_event
from service.storage.engine.keyset import newest
from service.storage.engine.retries import retry_transactions
from service.storage.results.combinations import combination_id, combination_record, matches
from service.storage.studies.queue import lock_leased_study
from service.storage.tables import RunMetricRow, RunRow, StudyRow

_EPOCH_COLUMNS = [field.name for field in fields(EpochMetrics)]


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
            combination = _combination_of(session, study, job)
            row = session.scalars(
                select(RunRow).where(RunRow.study_id == study.id, RunRow.job == job.name)
            ).one_or_none()
            if row is None:
                row = RunRow(
                    id=new_id("run"),
                    study_id=study.id,
                    combination_id=combination,
                    job=job.name,
                    purpose=job.purpose,
                    trial_number=job.trial_number,
                    alpha=job.setting.alpha,
                    beta=job.setting.beta,
                    joint=job.setting.joint or None,
                    seed=job.seed,
                    state=RunState.RUNNING,
                    epochs=epochs,
                    epochs_done=0,
                    measures={},
                    environment={},
                    attempt=1,
                    started_at=self._clock(),
                )
                session.add(row)
                if same_as is not None and (twin := _find_identical(session, row, same_as)):
                    _copy_result(row, twin)
                    study.runs_ended += 1
            elif row.state == RunState.RUNNING:  # its runner was lost: from the start again
                row.alpha, row.beta, row.seed = job.setting.alpha, job.setting.beta, job.seed
                row.joint = job.setting.joint or None
                row.combination_id, row.epochs = combination, epochs
                row.attempt += 1
                row.epochs_done = 0
                row.validation_accuracy = None
                row.started_at = self._clock()
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
            row.state = _end_state(outcome)
            row.validation_accuracy = outcome.validation_accuracy
            row.test_accuracy = outcome.test_accuracy
            row.seconds = outcome.seconds
            row.gpu_seconds = outcome.gpu_seconds
            row.measures = outcome.measures
            row.environment = outcome.environment
            row.error = outcome.error
            row.epochs_done = max((point.epoch for point in outcome.curve), default=0)
            row.ended_at = self._clock()
            session.add_all(RunMetricRow(run_id=run_id, **vars(point)) for point in outcome.curve)
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
        """Tell those who follow the study that a run began or ended."""
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


def _combination_of(session: Session, study: StudyRow, job: Job) -> int:
    """Return the row id of what a job trains: the study's combination, at the job's sparsity."""
    if job.sparsity is None:
        return study.combination_id
    own = combination_record(study.combination)
    return combination_id(session, Combination.stored(**asdict(own) | {"sparsity": job.sparsity}))


def _find_identical(
    session: Session, row: RunRow, environment: Mapping[str, Any]
) -> RunRow | None:
    """Return a run of any study whose result a new run would only repeat."""
    query = select(RunRow).where(
        RunRow.combination_id == row.combination_id,
        RunRow.alpha == row.alpha,
        RunRow.beta == row.beta,
        RunRow.seed == row.seed,
        RunRow.epochs == row.epochs,
        RunRow.state == RunState.SUCCEEDED,
        RunRow.reused_from.is_(None),
    )
    if row.purpose == Purpose.CONFIRMATION:
        query = query.where(RunRow.test_accuracy.is_not(None))
    with session.no_autoflush:
        twins = session.scalars(query.order_by(RunRow.id))
        same = (t for t in twins if t.environment == environment and t.joint == row.joint)
        return next(same, None)


def _copy_result(row: RunRow, twin: RunRow) -> None:
    row.state = RunState.SUCCEEDED
    row.reused_from = twin.id
    row.epochs_done = twin.epochs_done
    row.validation_accuracy = twin.validation_accuracy
    if row.purpose == Purpose.CONFIRMATION:
        row.test_accuracy = twin.test_accuracy
    row.seconds = 0.0
    row.gpu_seconds = 0.0
    row.measures, row.environment = twin.measures, twin.environment
    row.ended_at = row.started_at


def _end_state(outcome: Outcome) -> RunState:
    if outcome.error:
        return RunState.FAILED
    return RunState.PRUNED if outcome.pruned else RunState.SUCCEEDED


def epoch_record(row: RunMetricRow) -> EpochMetrics:
    """Turn a row into a point of a curve."""
    return EpochMetrics(**{name: getattr(row, name) for name in _EPOCH_COLUMNS})


def ham_config_record(alpha: float, beta: float, joint: dict[str, Any] | None) -> HamConfig:
    """Turn the columns of a setting into a record."""
    return HamConfig(alpha=alpha, beta=beta, **(joint or {}))


def run_record(row: RunRow) -> Run:
    """Turn a row into a record."""
    return Run(
        id=row.id,
        study_id=row.study_id,
        combination=row.combination.key,
        purpose=row.purpose,
        trial_number=row.trial_number,
        sparsity=row.combination.sparsity,
        setting=ham_config_record(row.alpha, row.beta, row.joint),
        seed=row.seed,
        state=row.state,
        epochs=row.epochs,
        epochs_done=row.epochs_done,
        validation_accuracy=row.validation_accuracy,
        test_accuracy=row.test_accuracy,
        seconds=row.seconds,
        gpu_seconds=row.gpu_seconds,
        measures=row.measures,
        environment=row.environment,
        error=row.error,
        attempt=row.attempt,
        started_at=row.started_at,
        ended_at=row.ended_at,
        reused_from=row.reused_from,
    )
