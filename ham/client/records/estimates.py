"""Cost estimates of studies, from trainings that were measured in this service."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Basis = Literal["combination", "recipe", "dataset"]


class CostEstimate(BaseModel):
    """Wall time and compute of a study that trains all of its planned epochs.

    Early stopping and reused runs make it cheaper. All numbers are null if no comparable training
    was measured in this service.
    """

    model_config = ConfigDict(frozen=True)

    wall_seconds: float | None = Field(
        description="Wall time from the first training of the study to its last, in seconds, "
        "with as many trainings at once as the measured studies had."
    )
    compute_seconds: float | None = Field(
        description="Training time summed over runs, in seconds."
    )
    gpu_hours: float | None = Field(
        description="GPUs held times hours, summed over runs; null also if the measured runs "
        "lack GPU times."
    )
    basis: Basis | None = Field(
        description="What the measured trainings share with the study: the `combination`; model, "
        "dataset and `recipe`; or only model and `dataset`."
    )
    runs: int = Field(
        description="Number of measured trainings behind the estimate; the newest ones are used."
    )
    environments: tuple[str, ...] = Field(description="Environments in which those trainings ran.")
    message: str = Field(description="How the estimate was derived, or why there is none.")
