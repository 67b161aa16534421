"""Priors: expected gains of a study, from similar combinations."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Prior(BaseModel):
    """Gains over the baseline, without HAM, that are expected before anything is trained."""

    model_config = ConfigDict(frozen=True)

    neighbours: tuple[str, ...] = Field(description="Similar combinations, nearest first.")
    alphas: tuple[float, ...] = Field(description="Levels of alpha; the first may be zero.")
    betas: tuple[float, ...] = Field(description="Levels of beta; the first may be zero.")
    gains: tuple[tuple[float, ...], ...] = Field(
        description="Expected gain in validation accuracy over the baseline, a fraction; one row "
        "per alpha, one column per beta."
    )
