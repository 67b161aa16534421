"""Jobs: trainings that a study needs; and the outcomes of their runs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.measures import StoredMeasures
from ham.client.records.runs import Purpose
from ham.config import HamConfig
from ham.results import EpochMetrics


class Job(BaseModel):
    """One training that a study needs; its name makes a run unique within the study."""

    model_config = ConfigDict(frozen=True)

    purpose: Purpose
    setting: HamConfig
    seed: int
    trial_number: int | None = None
    sparsity: float | None = None
    """Target sparsity; None stands for that of the study's combination."""

    @property
    def name(self) -> str:
        """Name, unique within a study. A search trial is one job whatever its configuration."""
        if self.trial_number is not None:
            return f"{self.purpose}/{self.trial_number}"
        setting = ",".join(map(repr, (self.setting.alpha, self.setting.beta)))
        joint = "".join(f",{name}={value}" for name, value in self.setting.joint.items())
        level = "" if self.sparsity is None else f",sparsity={self.sparsity!r}"
        return f"{self.purpose}/{setting}{joint}{level}/{self.seed}"


class Outcome(BaseModel):
    """The outcome of a run: its results, or its error.

    ``pruned`` means that early stopping ended the run; its accuracy is of fewer epochs.
    """

    model_config = ConfigDict(frozen=True)

    validation_accuracy: float | None = None
    test_accuracy: float | None = None
    seconds: float | None = None
    measures: StoredMeasures = StoredMeasures()
    environment: dict[str, Any] = {}
    curve: tuple[EpochMetrics, ...] = ()
    error: str | None = None
    traceback: str | None = Field(default=None, description="Of the error: logged, not stored.")
    pruned: bool = False

    @property
    def gpu_seconds(self) -> float | None:
        """GPUs held times seconds, as the worker measured it; None if it was not measured."""
        return None if self.measures.cost is None else self.measures.cost.gpu_seconds
