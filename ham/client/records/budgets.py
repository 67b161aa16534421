"""Budgets: how much training a study may use."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema


def _none_or_enough(seeds: int) -> int:
    if seeds != 0 and not 3 <= seeds <= 100:
        raise ValueError("it should be 0, or 3 to 100")
    return seeds


class Budget(BaseModel):
    """Limits on the training of a study, and its early stopping."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    trials: Annotated[
        int,
        Field(
            ge=1,
            le=10_000,
            description="Maximum number of search trials. If learning rate or weight decay is "
            "tuned, the search of the baseline, without HAM, has as many trials again.",
        ),
    ] = 32
    early_stopping: Annotated[
        Literal["auto", "none", "asha", "asha_promotion", "hyperband", "median"],
        Field(
            description="Rule that stops weak search trials early. `auto` is ASHA if the "
            "training is long after its target sparsity is reached, else none. Under "
            "`asha_promotion` a stopped trial resumes if it later ranks among the best."
        ),
    ] = "auto"
    max_epochs: Annotated[
        int | None,
        Field(
            ge=1,
            description="Maximum number of training epochs of all stages together. The epochs "
            "that the stages after the search need are set aside; the search ends when it has "
            "used up the rest.",
        ),
    ] = None
    max_seconds: Annotated[
        float | None,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="Maximum wall time since the study began, in seconds. No training begins "
            "after it.",
        ),
    ] = None
    finalists: Annotated[
        int,
        Field(
            ge=1,
            le=20,
            description="Number of configurations that enter the screening, which trains them on "
            "fresh seeds. If learning rate or weight decay is tuned, as many baselines enter a "
            "screening of their own.",
        ),
    ] = 8
    screening_seeds: Annotated[
        int,
        Field(
            ge=1,
            le=100,
            description="Mean number of screening trainings per finalist. Weak finalists drop "
            "out early; the others get the trainings that this saves.",
        ),
    ] = 3
    confirmation_seeds: Annotated[
        int,
        AfterValidator(_none_or_enough),
        WithJsonSchema(
            {"anyOf": [{"const": 0}, {"type": "integer", "minimum": 3, "maximum": 100}]}
        ),
        Field(
            description="Number of further fresh seeds on which the gain of the selected "
            "configuration is measured. With 0 there is no confirmation and the recommendation "
            "is provisional."
        ),
    ] = 20


class BudgetChange(BaseModel):
    """New values for parts of a budget; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    trials: int | None = Field(
        default=None, ge=1, le=10_000, description="Maximum number of search trials."
    )
    finalists: int | None = Field(
        default=None, ge=1, le=20, description="Number of configurations that enter the screening."
    )
    screening_seeds: int | None = Field(
        default=None, ge=1, le=100, description="Mean number of screening trainings per finalist."
    )
    confirmation_seeds: int | None = Field(
        default=None, ge=3, le=100, description="Number of fresh seeds of the confirmation."
    )
    max_epochs: int | None = Field(
        default=None, ge=1, description="Maximum number of training epochs of all stages together."
    )
    max_seconds: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Maximum wall time since the study began, in seconds.",
    )
