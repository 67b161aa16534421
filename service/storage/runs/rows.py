"""Rows of runs and of learning curves: how jobs and outcomes fill them, and records from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ham.client.records import EpochMetrics, Purpose, Run, RunState
from ham.config import Combination, HamConfig
from service.records import Job, Outcome
from service.storage.engine.mapping import (
    column_values,
    field_values,
    set_columns,
    shared_names,
)
from service.storage.results.combinations import combination_id, combination_record
from service.storage.tables import RunMetricRow, RunRow, StudyRow


def job_columns(session: Session, study: StudyRow, job: Job) -> dict[str, Any]:
    """Return the columns that say what a job of a study trains."""
    return {
        **column_values(job, RunRow),
        **ham_config_columns(job.setting),
        "job": job.name,
        "combination_id": _combination_of(session, study, job),
    }


def outcome_columns(outcome: Outcome) -> dict[str, Any]:
    """Return the columns that an ended run has from its outcome."""
    return {
        **column_values(outcome, RunRow),
        "state": _end_state(outcome),
        "gpu_seconds": outcome.gpu_seconds,
        "measures": outcome.measures.stored,
        "epochs_done": max((point.epoch for point in outcome.curve), default=0),
    }


def find_identical(session: Session, row: RunRow, environment: Mapping[str, Any]) -> RunRow | None:
    """Return a succeeded run of any study that was trained as a new run would be; else None.

    The two are equal in combination, configuration, seed, epochs and environment. For a
    confirmation run, the other must have a test accuracy.
    """
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
        for other in session.scalars(query.order_by(RunRow.id)):
            if other.environment == environment and other.joint == row.joint:
                return other
    return None


def reuse(row: RunRow, original: RunRow) -> None:
    """End a new run at once with the result of an identical run; it costs nothing."""
    set_columns(row, {name: getattr(original, name) for name in shared_names(Outcome, RunRow)})
    row.state = RunState.SUCCEEDED
    row.reused_from = original.id
    row.epochs_done = original.epochs_done
    row.seconds = row.gpu_seconds = 0.0
    if row.purpose != Purpose.CONFIRMATION:
        row.test_accuracy = None
    row.ended_at = row.started_at


def epoch_record(row: RunMetricRow) -> EpochMetrics:
    """Return the epoch metrics in a row."""
    return EpochMetrics(**field_values(row, EpochMetrics))


def run_record(row: RunRow) -> Run:
    """Return the run in a row."""
    return Run(
        **field_values(row, Run),
        combination=row.combination.key,
        sparsity=row.combination.sparsity,
        setting=ham_config_record(row.alpha, row.beta, row.joint),
    )


def ham_config_columns(ham_config: HamConfig) -> dict[str, Any]:
    """Return a configuration as columns; ``joint`` is null where only alpha and beta are set."""
    return {
        "alpha": ham_config.alpha,
        "beta": ham_config.beta,
        "joint": ham_config.joint or None,
    }


def ham_config_record(alpha: float, beta: float, joint: dict[str, Any] | None) -> HamConfig:
    """Return the configuration in the columns."""
    return HamConfig(alpha=alpha, beta=beta, **(joint or {}))


def _combination_of(session: Session, study: StudyRow, job: Job) -> int:
    """Return the row id of the combination of a study, at the sparsity of a job."""
    if job.sparsity is None:
        return study.combination_id
    own = combination_record(study.combination)
    return combination_id(session, Combination.stored(**asdict(own) | {"sparsity": job.sparsity}))


def _end_state(outcome: Outcome) -> RunState:
    if outcome.error:
        return RunState.FAILED
    return RunState.PRUNED if outcome.pruned else RunState.SUCCEEDED
