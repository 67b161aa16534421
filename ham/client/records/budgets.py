"""How much training a study may spend."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema


def _none_or_enough(seeds: int) -> int:
    if seeds != 0 and not 3 <= seeds <= 100:
        raise ValueError("it should be 0, or 3 to 100")
    return seeds


class Budget(BaseModel):
    """How much training a study may spend, and how it saves."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    trials: Annotated[
        int,
        Field(
            ge=1,
            le=10_000,
            description="Search trials, at most. Where the learning rate or the weight decay is "
            "tuned as well, as many again search them without HAM, and so with `finalists`.",
        ),
    ] = 32
    early_stopping: Annotated[
        Literal["auto", "none", "asha", "asha_promotion", "hyperband", "median"],
        Field(
            description="How weak search trials are stopped early. `auto` is ASHA where the "
            "training is long after its target sparsity is reached, else none. Under "
            "`asha_promotion` a trial that was stopped goes on once it is among the best."
        ),
    ] = "auto"
    max_epochs: Annotated[
        int | None,
        Field(
            ge=1,
            description="Cap on training epochs, all stages together. What the stages after the "
            "search need is set aside; the search ends where the rest is used up.",
        ),
    ] = None
    max_seconds: Annotated[
        float | None,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="Cap on wall time since the study began. No training begins after it.",
        ),
    ] = None
    finalists: Annotated[
        int, Field(ge=1, le=20, description="Promising settings that race on fresh seeds.")
    ] = 8
    screening_seeds: Annotated[
        int,
        Field(
            ge=1,
            le=100,
            description="Trainings of the race per finalist, on average: weak ones drop out "
            "early, and what they save goes to the others.",
        ),
    ] = 3
    confirmation_seeds: Annotated[
        int,
        AfterValidator(_none_or_enough),
        WithJsonSchema(
            {"anyOf": [{"const": 0}, {"type": "integer", "minimum": 3, "maximum": 100}]}
        ),
        Field(
            description="Further fresh seeds on which the winner's gain is measured; 0 leaves the "
            "confirmation out, and the recommendation is then provisional."
        ),
    ] = 20


class BudgetChange(BaseModel):
    """New numbers for some parts of a budget."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    trials: int | None = Field(default=None, ge=1, le=10_000, description="Search trials.")
    finalists: int | None = Field(
        default=None, ge=1, le=20, description="Promising settings that race on fresh seeds."
    )
    screening_seeds: int | None = Field(
        default=None, ge=1, le=100, description="Trainings of the race per finalist, on average."
    )
    confirmation_seeds: int | None = Field(
        default=None, ge=3, le=100, description="Further seeds on which its gain is measured."
    )
    max_epochs: int | None = Field(
        default=None, ge=1, description="Cap on training epochs, all stages together."
    )
    max_seconds: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Cap on wall time since the study began.",
    )
