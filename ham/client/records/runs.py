"""A run: one training from start to end. The only measured fact; never changed after it ends."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.measures import StoredMeasures
from ham.config import HamConfig


class Purpose(StrEnum):
    """Why a run was made."""

    SEARCH = "search"
    SCREENING = "screening"
    CONFIRMATION = "confirmation"


class RunState(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PRUNED = "pruned"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Cost(BaseModel):
    """What trainings have cost together; a run that was reused cost nothing."""

    model_config = ConfigDict(frozen=True)

    seconds: float = Field(description="Of training, summed over runs.")
    gpu_seconds: float = Field(description="GPUs held times seconds, summed over runs.")


class Run(BaseModel):
    """A stored run, without its curve."""

    model_config = ConfigDict(frozen=True)

    id: str
    study_id: str
    combination: str = Field(description="Canonical key of the combination.")
    purpose: Purpose
    trial_number: int | None
    sparsity: float = Field(
        description="Target: the combination's. A study of several sparsities has runs of each."
    )
    setting: HamConfig
    seed: int
    state: RunState
    epochs: int = Field(description="Length of the full schedule.")
    epochs_done: int = Field(
        description="Fidelity: epochs trained. A `pruned` run has fewer than `epochs`, and is "
        "never ranked beside one that has them all."
    )
    validation_accuracy: float | None = Field(description="Fraction, after `epochs_done`.")
    test_accuracy: float | None = Field(description="Fraction; of confirmation runs only.")
    seconds: float | None = Field(description="Of training; 0 where the run was reused.")
    gpu_seconds: float | None = Field(
        default=None, description="GPUs held times seconds; null where it was not measured."
    )
    measures: StoredMeasures = Field(
        description="Sparsity (target, realised, per layer), operations, exploration, dead units."
    )
    environment: dict[str, Any]
    error: str | None
    attempt: int = Field(description="Times this run was begun; more than 1 after a lost runner.")
    started_at: datetime
    ended_at: datetime | None
    reused_from: str | None = Field(
        default=None,
        description="The earlier run, identical in combination, setting, seed, code and data, "
        "whose result this is; nothing was trained.",
    )
