"""The tables. Queried values have columns; JSON holds values that are only read as a whole."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    Index,
    MetaData,
    String,
    UniqueConstraint,
    event,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from ham.client.records import EventKind, Grade, LogLevel, Purpose, RunState, StudyState
from ham.client.records.studies import LARGEST_PRIORITY
from service.records import Scope
from service.storage.engine.columns import LONG, UtcDateTime, enum, newest_first, where
from service.storage.studies import triggers


class Base(DeclarativeBase):
    """Base of the tables; it names every constraint, so that migrations can refer to it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON,
        StudyState: enum(StudyState),
        RunState: enum(RunState),
        Purpose: enum(Purpose),
        Grade: enum(Grade),
        Scope: enum(Scope),
        EventKind: enum(EventKind),
        LogLevel: enum(LogLevel),
    }


class CombinationRow(Base):
    """A combination: the unit that is tuned, recommended and ranked."""

    __tablename__ = "combination"
    __table_args__ = (
        CheckConstraint("sparsity >= 0 AND sparsity < 1", name="sparsity_range"),
        Index(None, "dataset", "model", "sparsity"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(300), unique=True)
    model: Mapped[str] = mapped_column(String(100))
    dataset: Mapped[str] = mapped_column(String(100))
    sparsifier: Mapped[str] = mapped_column(String(100))
    sparsity: Mapped[float]
    optimizer: Mapped[str] = mapped_column(String(100))
    recipe: Mapped[str] = mapped_column(String(100))


class SubmitterRow(Base):
    """A submitter, and when a study of theirs was last claimed, for fair shares of the queue."""

    __tablename__ = "submitter"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    served_at: Mapped[datetime | None]


class SweepRow(Base):
    """A sweep: one request for many combinations. Its studies refer to it."""

    __tablename__ = "sweep"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    submitter: Mapped[str] = mapped_column(ForeignKey("submitter.name"))
    created_at: Mapped[datetime]
    request: Mapped[dict[str, Any]]
    left_out: Mapped[list[Any]]
    """Combinations without a study, each with its reason."""


class StudyRow(Base):
    """A study; this table is also the queue of studies.

    ``claimable_at`` is the time from which a runner may claim the study: at once if it is queued,
    after a pause if its runner just failed, at the end of the lease if a runner holds it, else
    never (null).
    """

    __tablename__ = "study"
    __table_args__ = (
        Index("ix_study_queue", "submitter", "place", "id", **where("state = 'queued'")),
        Index(
            "ix_study_held",
            "submitter",
            "claimable_at",
            **where("state IN ('running', 'pausing', 'draining')"),
        ),
        Index("ix_study_gpu_use", "submitter", "ended_at", **where("gpu_seconds > 0")),
        *newest_first("study", "combination_id", "submitter", "sweep_id", "state"),
        CheckConstraint(
            f"place >= -{LARGEST_PRIORITY} AND place <= {LARGEST_PRIORITY}", name="place_range"
        ),
        CheckConstraint(
            "(claimable_at IS NULL) = (state IN ('paused', 'succeeded', 'failed', 'cancelled'))",
            name="claimable_unless_at_rest",
        ),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    combination_id: Mapped[int] = mapped_column(ForeignKey("combination.id"))
    submitter: Mapped[str] = mapped_column(ForeignKey("submitter.name"))
    sweep_id: Mapped[str | None] = mapped_column(ForeignKey("sweep.id"))
    queue_order: Mapped[int] = mapped_column("place", default=0)
    """Minus the priority, so that one ascending index gives the queue order."""
    state: Mapped[StudyState]
    request: Mapped[dict[str, Any]]
    plan: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    error: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    token: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[str | None] = mapped_column(String(200))
    claimable_at: Mapped[datetime | None]
    seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    gpu_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    runs_ended: Mapped[int] = mapped_column(default=0, server_default="0")
    """Number of ended runs. It is stored, as their cost is: counting the runs of a page of sweeps
    takes longer with every run."""

    combination: Mapped[CombinationRow] = relationship()


for _statement in triggers.CREATE:
    event.listen(StudyRow.__table__, "after_create", _statement)


class StudyEventRow(Base):
    """An event of a study: when, by whom, what, why.

    For a state change, ``source`` is the state before; a transition that is not allowed is
    refused. Ids grow in the order of the commits (``engine/event_log.py``).
    """

    __tablename__ = "study_event"
    __table_args__ = (
        Index(None, "study_id", "id"),
        Index("ix_study_event_end", "id", **where("state IN ('succeeded', 'cancelled')")),
        CheckConstraint(triggers.EVENT_CHECK, name="known_transition"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("study.id"))
    at: Mapped[datetime]
    kind: Mapped[EventKind]
    owner: Mapped[str | None] = mapped_column(String(200))
    source: Mapped[str | None] = mapped_column(String(32))
    state: Mapped[StudyState]
    reason: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)


class LogLineRow(Base):
    """A log line of a runner; ``hamtune clean`` removes those of studies that ended long ago."""

    __tablename__ = "log_line"
    __table_args__ = (
        Index(None, "study_id", "id"),
        Index(None, "run_id", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(LONG, primary_key=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("study.id"))
    run_id: Mapped[str | None] = mapped_column(ForeignKey("run.id"))
    at: Mapped[datetime]
    level: Mapped[LogLevel]
    event: Mapped[str]
    details: Mapped[dict[str, Any]]


class IdempotencyKeyRow(Base):
    """A key that a submitter chose, and the study or the sweep it stands for."""

    __tablename__ = "idempotency_key"
    __table_args__ = (
        CheckConstraint("(study_id IS NULL) <> (sweep_id IS NULL)", name="stands_for_one"),
    )

    submitter: Mapped[str] = mapped_column(ForeignKey("submitter.name"), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    study_id: Mapped[str | None] = mapped_column(ForeignKey("study.id"))
    sweep_id: Mapped[str | None] = mapped_column(ForeignKey("sweep.id"))
    created_at: Mapped[datetime] = mapped_column(index=True)


class RunRow(Base):
    """A run. Its newest validation accuracy is in a column, so that lists need not read curves."""

    __tablename__ = "run"
    __table_args__ = (
        UniqueConstraint("study_id", "job"),
        Index(None, "study_id", "purpose", "state", "started_at"),
        Index(None, "ended_at"),
        *newest_first("run", "combination_id", "state", "purpose"),
        Index("ix_run_combination_state_newest", "combination_id", "state", "id"),
        CheckConstraint("alpha >= 0 AND beta >= 0", name="setting_range"),
        CheckConstraint(
            "test_accuracy IS NULL OR purpose = 'confirmation'", name="test_only_in_confirmation"
        ),
        CheckConstraint(
            "state <> 'succeeded' OR (validation_accuracy IS NOT NULL AND epochs_done = epochs)",
            name="succeeded_is_complete",
        ),
        CheckConstraint(
            "state <> 'pruned' OR (purpose = 'search' AND epochs_done < epochs)",
            name="pruned_is_partial",
        ),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("study.id"))
    combination_id: Mapped[int] = mapped_column(ForeignKey("combination.id"))
    job: Mapped[str] = mapped_column(String(200))
    purpose: Mapped[Purpose]
    trial_number: Mapped[int | None]
    alpha: Mapped[float]
    beta: Mapped[float]
    joint: Mapped[dict[str, Any] | None]  # jointly tuned values; null if there are none
    seed: Mapped[int]
    state: Mapped[RunState]
    epochs: Mapped[int]
    epochs_done: Mapped[int] = mapped_column(default=0)
    validation_accuracy: Mapped[float | None]
    test_accuracy: Mapped[float | None]
    seconds: Mapped[float | None]
    gpu_seconds: Mapped[float | None]
    measures: Mapped[dict[str, Any]] = mapped_column(default=dict)
    environment: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(default=1)
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    reused_from: Mapped[str | None] = mapped_column(ForeignKey("run.id"))

    combination: Mapped[CombinationRow] = relationship()


class RunMetricRow(Base):
    """One point of a learning curve."""

    __tablename__ = "run_metric"

    run_id: Mapped[str] = mapped_column(ForeignKey("run.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    train_loss: Mapped[float]
    validation_accuracy: Mapped[float]
    learning_rate: Mapped[float]
    seconds: Mapped[float]
    sign_flips: Mapped[float]
    mask_churn: Mapped[float]


class RecommendationRow(Base):
    """A version of a combination's recommendation. It never changes."""

    __tablename__ = "recommendation"
    __table_args__ = (UniqueConstraint("combination_id", "version"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    combination_id: Mapped[int] = mapped_column(ForeignKey("combination.id"))
    study_id: Mapped[str] = mapped_column(ForeignKey("study.id"), unique=True)
    version: Mapped[int]
    created_at: Mapped[datetime]
    grade: Mapped[Grade]
    alpha: Mapped[float]
    beta: Mapped[float]
    seconds: Mapped[float] = mapped_column(server_default="0")
    gpu_seconds: Mapped[float] = mapped_column(server_default="0")
    """Cost of all studies of the combination until then."""
    result: Mapped[dict[str, Any]]
    surface: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), deferred=True)

    combination: Mapped[CombinationRow] = relationship()


class ParetoFrontRow(Base):
    """The Pareto front of a study of two objectives. It never changes."""

    __tablename__ = "front"

    study_id: Mapped[str] = mapped_column(ForeignKey("study.id"), primary_key=True)
    created_at: Mapped[datetime]
    result: Mapped[dict[str, Any]]

    study: Mapped[StudyRow] = relationship()


class ApiKeyRow(Base):
    """An API key: the digest of its secret, never the secret itself."""

    __tablename__ = "api_key"
    __table_args__ = (CheckConstraint("length(digest) = 64", name="digest_is_sha256"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    scope: Mapped[Scope]
    max_queued_studies: Mapped[int | None]
    gpu_hours: Mapped[float | None]
    digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class ExternalRunRow(Base):
    """A training made outside of this service, kept apart from the service's own runs."""

    __tablename__ = "external_run"
    __table_args__ = (
        CheckConstraint("alpha >= 0 AND beta >= 0", name="setting_range"),
        CheckConstraint("length(source) >= 3", name="names_its_source"),
        *newest_first("external_run", "combination_id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    combination_id: Mapped[int] = mapped_column(ForeignKey("combination.id"))
    source: Mapped[str] = mapped_column(String(300))
    submitter: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[datetime]
    alpha: Mapped[float]
    beta: Mapped[float]
    seed: Mapped[int]
    epochs: Mapped[int]
    validation_accuracy: Mapped[float | None]
    test_accuracy: Mapped[float | None]
    seconds: Mapped[float | None]
    measures: Mapped[dict[str, Any]]
    environment: Mapped[dict[str, Any]]
    curve: Mapped[list[Any]]

    combination: Mapped[CombinationRow] = relationship()
