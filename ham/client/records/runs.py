"""Runs: one training each, from start to end. An ended run never changes."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.measures import StoredMeasures
from ham.config import HamConfig


class Purpose(StrEnum):
    """The stage of a study that a run belongs to."""

    SEARCH = "search"
    SCREENING = "screening"
    CONFIRMATION = "confirmation"


class RunState(StrEnum):
    """State of a run."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PRUNED = "pruned"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Cost(BaseModel):
    """Cost of several trainings together; a reused run costs nothing."""

    model_config = ConfigDict(frozen=True)

    seconds: float = Field(description="Training time summed over runs, in seconds.")
    gpu_seconds: float = Field(description="GPUs held times seconds, summed over runs.")


class Run(BaseModel):
    """A stored run, without its learning curve."""

    model_config = ConfigDict(frozen=True)

    id: str
    study_id: str
    combination: str = Field(description="Canonical key of the combination.")
    purpose: Purpose
    trial_number: int | None
    sparsity: float = Field(
        description="Target sparsity of the combination. A study with two objectives has runs at "
        "several sparsities."
    )
    setting: HamConfig
    seed: int
    state: RunState
    epochs: int = Field(description="Number of epochs of the full schedule.")
    epochs_done: int = Field(
        description="Number of epochs trained. A `pruned` run has fewer than `epochs`; it is "
        "never ranked together with full-length runs."
    )
    validation_accuracy: float | None = Field(
        description="Validation accuracy after `epochs_done` epochs, a fraction."
    )
    test_accuracy: float | None = Field(
        description="Test accuracy, a fraction; only confirmation runs have one."
    )
    seconds: float | None = Field(description="Training time in seconds; 0 if the run was reused.")
    gpu_seconds: float | None = Field(
        default=None, description="GPUs held times seconds; null if it was not measured."
    )
    measures: StoredMeasures = Field(
        description="Sparsity (target, realised, per layer), operations, exploration, dead "
        "units, cost."
    )
    environment: dict[str, Any]
    error: str | None
    attempt: int = Field(
        description="Number of times this run was begun; more than 1 after a lost runner."
    )
    started_at: datetime
    ended_at: datetime | None
    reused_from: str | None = Field(
        default=None,
        description="Id of the earlier run whose result this run has: it is identical in "
        "combination, configuration, seed, code and data, so nothing was trained.",
    )
