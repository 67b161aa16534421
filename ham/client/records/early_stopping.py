"""What early stopping did in a study, and whether early epochs foretell the final accuracy."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.studies import EarlyStopping

EarlyStoppingState = Literal["off", "waiting", "on", "switched off"]


class Rung(BaseModel):
    """An epoch after which search trials are compared."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    finished: int = Field(description="Trials at full length that the correlation is of.")
    rank_correlation: float | None = Field(
        description="Spearman's, of the validation accuracies after this epoch and the final "
        "ones. Null with fewer than eight trials, or where all are equal."
    )


class EarlyStoppingReport(BaseModel):
    """Early stopping in the search of a study so far."""

    model_config = ConfigDict(frozen=True)

    rule: EarlyStopping
    state: EarlyStoppingState = Field(
        description="`off`: not planned, or the training has no epoch to stop after. `waiting`: "
        "too few trials at full length yet. `on`: trials can be stopped after at least one epoch. "
        "`switched off`: no epoch foretells the final accuracy well enough."
    )
    stopped: int = Field(description="Search trials that were stopped early.")
    epochs_saved: int = Field(description="Epochs that they were not trained.")
    least_rank_correlation: float = Field(
        description="Nothing is stopped at a rung whose correlation is lower, or not known."
    )
    rungs: tuple[Rung, ...] = Field(
        description="They begin when the target sparsity is held; none where that is at the end."
    )
