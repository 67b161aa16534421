"""What a study would cost, judged by trainings that were measured here."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Basis = Literal["combination", "recipe", "dataset"]


class CostEstimate(BaseModel):
    """Wall time and compute of a study that trains all of its planned epochs.

    Stopping early and reusing runs make it cheaper. All numbers are null where nothing comparable
    was ever trained here.
    """

    model_config = ConfigDict(frozen=True)

    wall_seconds: float | None = Field(
        description="From its first training to its last, with as many at once as there were then."
    )
    compute_seconds: float | None = Field(description="Of training, summed over runs.")
    gpu_hours: float | None = Field(
        description="GPUs held times hours; null also where runs did not measure it."
    )
    basis: Basis | None = Field(
        description="What the measured trainings share with the study: the `combination`; model, "
        "dataset and `recipe`; or model and `dataset` only."
    )
    runs: int = Field(description="Measured trainings that it rests on, the newest ones.")
    environments: tuple[str, ...] = Field(description="Where those were trained.")
    message: str = Field(description="How it was derived, or why there is none.")
