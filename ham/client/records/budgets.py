"""Budgets: how much training a study may use."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

EarlyStopping = Literal["none", "asha", "asha_promotion", "hyperband", "median"]
"""The early-stopping rules. To add one, add it here and to ``RULES`` of
``service.domain.search.early_stopping``."""


def _zero_or_enough(seeds: int) -> int:
    if seeds != 0 and not 3 <= seeds <= 100:
        raise ValueError("it should be 0, or 3 to 100")
    return seeds


Trials = Annotated[int, Field(ge=1, le=10_000)]
AskedEarlyStopping = Literal["auto", EarlyStopping]
MaxEpochs = Annotated[int, Field(ge=1)]
MaxSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finalists = Annotated[int, Field(ge=1, le=20)]
ScreeningSeeds = Annotated[int, Field(ge=1, le=100)]
ConfirmationSeeds = Annotated[
    int,
    AfterValidator(_zero_or_enough),
    WithJsonSchema({"anyOf": [{"const": 0}, {"type": "integer", "minimum": 3, "maximum": 100}]}),
]


class Budget(BaseModel):
    """Limits on the training of a study, and its early stopping."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    trials: Trials = Field(
        default=32,
        description="Maximum number of search trials. If learning rate or weight decay is tuned, "
        "the search of the baseline, without HAM, has as many trials again.",
    )
    early_stopping: AskedEarlyStopping = Field(
        default="auto",
        description="Rule that stops weak search trials early. `auto` is ASHA if the training is "
        "long after its target sparsity is reached, else none. Under `asha_promotion` a stopped "
        "trial resumes if it later ranks among the best.",
    )
    max_epochs: MaxEpochs | None = Field(
        default=None,
        description="Maximum number of training epochs of all stages together. The epochs that "
        "the stages after the search need are set aside; the search ends when it has used up the "
        "rest.",
    )
    max_seconds: MaxSeconds | None = Field(
        default=None,
        description="Maximum wall time since the study began, in seconds. No training begins "
        "after it.",
    )
    finalists: Finalists = Field(
        default=8,
        description="Number of configurations that enter the screening, which trains them on "
        "fresh seeds. If learning rate or weight decay is tuned, as many baselines enter a "
        "screening of their own.",
    )
    screening_seeds: ScreeningSeeds = Field(
        default=3,
        description="Mean number of screening trainings per finalist. Weak finalists drop out "
        "early; the others get the trainings that this saves.",
    )
    confirmation_seeds: ConfirmationSeeds = Field(
        default=20,
        description="Number of further fresh seeds on which the gain of the selected "
        "configuration is measured. With 0 there is no confirmation and the recommendation is "
        "provisional.",
    )


def _part(name: str) -> Any:
    """Return a field of a budget as a change has it: None leaves the part as it is."""
    return Field(default=None, description=Budget.model_fields[name].description)


class BudgetChange(BaseModel):
    """New values for parts of a budget; a part that is left out, or null, stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    trials: Trials | None = _part("trials")
    early_stopping: AskedEarlyStopping | None = _part("early_stopping")
    max_epochs: MaxEpochs | None = _part("max_epochs")
    max_seconds: MaxSeconds | None = _part("max_seconds")
    finalists: Finalists | None = _part("finalists")
    screening_seeds: ScreeningSeeds | None = _part("screening_seeds")
    confirmation_seeds: ConfirmationSeeds | None = _part("confirmation_seeds")
