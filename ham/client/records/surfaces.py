"""What a response surface says around an optimum: plain numbers, made once and kept."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ham.config import HamConfig, Schedule


def _is_none(value: object) -> bool:
    return value is None


class Expectation(BaseModel):
    """What a surface expects, with its 95 % credible interval; nothing measured on test data."""

    model_config = ConfigDict(frozen=True)

    mean: float
    low: float
    high: float


class AxisOptimum(BaseModel):
    """One parameter around the optimum."""

    model_config = ConfigDict(frozen=True)

    low: float = Field(description="Low end of the near-optimal range; 0 is no such term.")
    high: float = Field(description="High end of the near-optimal range.")
    importance: float = Field(
        description="Share of the surface's variance, over the whole space, that this parameter "
        "alone accounts for (functional ANOVA)."
    )
    change_if_halved: float | None = Field(
        description="Expected change of validation accuracy where the candidate's value is "
        "halved; null where that leaves the space, or the value is 0."
    )
    change_if_doubled: float | None = Field(description="The same where it is doubled.")
    edge: Literal["low", "high"] | None = Field(
        description="The edge of the search space that the candidate or its region touches, "
        "where the space really ends there."
    )
    extension: float | None = Field(
        description="The bound to search up (or down) to instead, where there is such an edge."
    )


class ScheduleOptimum(BaseModel):
    """A schedule that was tuned."""

    model_config = ConfigDict(frozen=True)

    importance: float = Field(description="Its share of the surface's variance, as above.")
    change: dict[Schedule, float] = Field(
        description="Expected change of validation accuracy where the candidate had another "
        "schedule, by its name."
    )


class Optimum(BaseModel):
    """The candidate on the response surface of its combination.

    The near-optimal ranges span a box around the candidate: everywhere in it the surface is
    within one standard error (the surface's own at the candidate) of the candidate.
    """

    model_config = ConfigDict(frozen=True)

    runs: int = Field(description="Runs of full length that the surface was fitted to.")
    alpha: AxisOptimum
    beta: AxisOptimum
    learning_rate: AxisOptimum | None = Field(
        default=None,
        exclude_if=_is_none,
        description="Where it was tuned: as multiples of the recipe's, with all else as in the "
        "candidate. The ranges of alpha and beta are then those at its learning rate.",
    )
    weight_decay: AxisOptimum | None = Field(
        default=None, exclude_if=_is_none, description="The same of the weight decay."
    )
    alpha_schedule: ScheduleOptimum | None = Field(
        default=None,
        exclude_if=_is_none,
        description="Where it was tuned. The ranges above are those at the candidate's schedules.",
    )
    beta_schedule: ScheduleOptimum | None = Field(
        default=None, exclude_if=_is_none, description="The same of beta's."
    )
    interaction: float = Field(
        description="Share of the surface's variance that only parameters together explain."
    )
    best_probability: float = Field(
        description="Probability that no other setting tried is better than the candidate."
    )
    standard_error: float = Field(
        description="Standard deviation of the surface at the candidate, a fraction."
    )
    expected_gain: Expectation = Field(
        description="Validation accuracy of the candidate over no HAM, as the surface expects it."
    )


class TriedConfiguration(BaseModel):
    """A setting and the runs that the surface saw of it."""

    model_config = ConfigDict(frozen=True)

    setting: HamConfig
    runs: int = Field(description="Runs of full length.")
    validation_accuracy: float | None = Field(description="Their mean; null where all failed.")


class SurfaceGrid(BaseModel):
    """A response surface on a grid, as it was when its recommendation was made.

    Where more than alpha and beta was tuned, it is the slice through the candidate.
    """

    model_config = ConfigDict(frozen=True)

    alphas: tuple[float, ...] = Field(description="Levels of alpha; the first may be zero.")
    betas: tuple[float, ...] = Field(description="Levels of beta; the first may be zero.")
    mean: tuple[tuple[float, ...], ...] = Field(
        description="Expected validation accuracy, a row per alpha, a column per beta. Runs far "
        "below the median count as a little below it, so deep valleys are drawn shallow."
    )
    deviation: tuple[tuple[float, ...], ...] = Field(description="Its standard deviation.")
    near_optimal: float = Field(
        description="Where `mean` is at least this, it is within one standard error of the "
        "candidate."
    )
    candidate: HamConfig
    tried: tuple[TriedConfiguration, ...]
