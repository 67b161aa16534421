"""Sweeps: one request that becomes a study per combination."""

from __future__ import annotations

from copy import copy
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.budgets import Budget
from ham.client.records.lifecycle import StudyState
from ham.client.records.studies import (
    AlphaSchedule,
    BetaSchedule,
    Sampler,
    StudyRequest,
    Tune,
)

MOST_COMBINATIONS = 1000

Name = Annotated[str, Field(max_length=100)]
Names = Annotated[tuple[Name, ...], Field(min_length=1, max_length=100, strict=False)]


def _as_in_studies(name: str) -> Any:
    """Return the field of that name of a study request: default, range and description."""
    return copy(StudyRequest.model_fields[name])


class SweepRequest(BaseModel):
    """A request for a study of every combination of the lists."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "models": ["digits_cnn", "digits_mlp"],
                    "datasets": ["digits"],
                    "sparsifiers": ["dense", "random", "rigl"],
                    "sparsities": [0.8, 0.9],
                    "budget": {"trials": 32},
                }
            ]
        },
    )

    models: Names = Field(description="Names from GET /v1/models.")
    datasets: Names = Field(description="Names from GET /v1/datasets.")
    sparsifiers: Names = Field(description="Names from GET /v1/sparsifiers.")
    sparsities: Annotated[tuple[float, ...], Field(min_length=1, max_length=100, strict=False)] = (
        Field(
            default=(0.0,),
            description="Fractions of zero weights. A sparsifier that takes no sparsity is used "
            "once.",
        )
    )
    optimizers: Names = Field(default=("sgd",), description="Names from GET /v1/optimizers.")
    recipe: str | None = Field(
        default=None,
        max_length=100,
        description="Id from GET /v1/recipes; if left out, each dataset's default.",
    )
    budget: Budget = Budget()
    priority: int = _as_in_studies("priority")
    sampler: Sampler = _as_in_studies("sampler")
    tune: Tune = ()
    alpha_schedule: AlphaSchedule = "constant"
    beta_schedule: BetaSchedule = "constant"
    transfer: bool = _as_in_studies("transfer")
    replicate: bool = _as_in_studies("replicate")
    force: bool = Field(
        default=False,
        description="Also tune combinations that were tuned with the same hyperparameters and "
        "schedules at the present version of the recipe.",
    )


class LeftOut(BaseModel):
    """A combination of a sweep without a study, and the reason."""

    model_config = ConfigDict(frozen=True)

    model: str
    dataset: str
    sparsifier: str
    sparsity: float
    optimizer: str
    reason: str


class Sweep(BaseModel):
    """A stored sweep."""

    model_config = ConfigDict(frozen=True)

    id: str
    submitter: str
    created_at: datetime
    request: SweepRequest
    left_out: tuple[LeftOut, ...] = Field(
        description="Combinations that are not possible, or that have been tuned already."
    )


class SweepProgress(BaseModel):
    """Progress of a sweep, over all its studies."""

    studies: int
    by_state: dict[StudyState, int] = Field(description="Number of studies by state.")
    runs_planned: int
    runs_done: int = Field(description="Number of ended runs, with or without a result.")
