"""What similar combinations let a study expect, fixed when its search begins."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Prior(BaseModel):
    """Gains over no HAM that are expected before anything is trained."""

    model_config = ConfigDict(frozen=True)

    neighbours: tuple[str, ...] = Field(description="Similar combinations, the nearest first.")
    alphas: tuple[float, ...] = Field(description="Levels of alpha; the first may be zero.")
    betas: tuple[float, ...] = Field(description="Levels of beta; the first may be zero.")
    gains: tuple[tuple[float, ...], ...] = Field(
        description="Expected validation accuracy over no HAM, a fraction; a row per alpha, a "
        "column per beta."
    )
