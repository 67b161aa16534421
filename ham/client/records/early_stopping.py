"""Early stopping of a study: what it saved, and how well early epochs predict the final one."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.budgets import EarlyStopping

EarlyStoppingState = Literal["off", "waiting", "on", "switched off"]


class Rung(BaseModel):
    """An epoch after which search trials are compared."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    finished: int = Field(
        description="Number of trials at full length that the correlation is computed from."
    )
    rank_correlation: float | None = Field(
        description="Spearman's rank correlation between the validation accuracies after this "
        "epoch and the final ones. Null with fewer than eight trials, or if all accuracies are "
        "equal."
    )


class EarlyStoppingReport(BaseModel):
    """Early stopping in the search of a study so far."""

    model_config = ConfigDict(frozen=True)

    rule: EarlyStopping
    state: EarlyStoppingState = Field(
        description="`off`: not planned, or the training has no epoch to stop after. `waiting`: "
        "too few trials at full length so far. `on`: trials can be stopped after at least one "
        "epoch. `switched off`: no epoch predicts the final accuracy well enough."
    )
    stopped: int = Field(description="Number of search trials that were stopped early.")
    epochs_saved: int = Field(
        description="Number of epochs that the stopped trials were not trained."
    )
    least_rank_correlation: float = Field(
        description="No trial is stopped at a rung whose rank correlation is lower or unknown."
    )
    rungs: tuple[Rung, ...] = Field(
        description="The first rung is the epoch at which the target sparsity is reached; empty "
        "if it is reached only at the end."
    )
