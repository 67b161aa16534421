"""The response surface around an optimum, as plain numbers that are computed once and stored."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ham.config import HamConfig, Schedule


def _is_none(value: object) -> bool:
    return value is None


class Expectation(BaseModel):
    """An expected value of a surface, with its 95 % credible interval."""

    model_config = ConfigDict(frozen=True)

    mean: float
    low: float
    high: float


class AxisOptimum(BaseModel):
    """One hyperparameter around the optimum."""

    model_config = ConfigDict(frozen=True)

    low: float = Field(description="Low end of the near-optimal range; 0 switches the term off.")
    high: float = Field(description="High end of the near-optimal range.")
    importance: float = Field(
        description="Share of the surface's variance over the whole space that this parameter "
        "alone explains (functional ANOVA)."
    )
    change_if_halved: float | None = Field(
        description="Expected change of validation accuracy, a fraction, if the candidate's "
        "value is halved; null if half of it is outside the space or the value is 0."
    )
    change_if_doubled: float | None = Field(
        description="Expected change of validation accuracy, a fraction, if the candidate's "
        "value is doubled; null if twice of it is outside the space or the value is 0."
    )
    edge: Literal["low", "high"] | None = Field(
        description="Boundary of the search space that the candidate or its near-optimal range "
        "touches; a better value may lie beyond it. The low boundary does not count if zero is "
        "in the space."
    )
    extension: float | None = Field(
        description="Bound to search to instead, if a boundary is touched."
    )


class ScheduleOptimum(BaseModel):
    """One tuned schedule around the optimum."""

    model_config = ConfigDict(frozen=True)

    importance: float = Field(
        description="Share of the surface's variance over the whole space that this schedule "
        "alone explains (functional ANOVA)."
    )
    change: dict[Schedule, float] = Field(
        description="Expected change of validation accuracy, a fraction, by the name of another "
        "schedule for the candidate."
    )


class Optimum(BaseModel):
    """The candidate on the response surface of its combination.

    The near-optimal ranges span a box around the candidate. Everywhere in it the surface is within
    one standard error (the surface's own at the candidate) of the candidate.
    """

    model_config = ConfigDict(frozen=True)

    runs: int = Field(description="Number of full-length runs that the surface was fitted to.")
    alpha: AxisOptimum
    beta: AxisOptimum
    learning_rate: AxisOptimum | None = Field(
        default=None,
        exclude_if=_is_none,
        description="If it was tuned: multiples of the recipe's learning rate, with the "
        "candidate's other values. The ranges of alpha and beta are those at the candidate's "
        "learning rate.",
    )
    weight_decay: AxisOptimum | None = Field(
        default=None,
        exclude_if=_is_none,
        description="If it was tuned: multiples of the recipe's weight decay, with the "
        "candidate's other values.",
    )
    alpha_schedule: ScheduleOptimum | None = Field(
        default=None,
        exclude_if=_is_none,
        description="If it was tuned. The other ranges are those at the candidate's schedules.",
    )
    beta_schedule: ScheduleOptimum | None = Field(
        default=None,
        exclude_if=_is_none,
        description="If it was tuned. The other ranges are those at the candidate's schedules.",
    )
    interaction: float = Field(
        description="Share of the surface's variance that only several parameters together "
        "explain."
    )
    best_probability: float = Field(
        description="Probability that no other configuration tried is better than the candidate."
    )
    standard_error: float = Field(
        description="Standard deviation of the surface at the candidate, a fraction."
    )
    expected_gain: Expectation = Field(
        description="Expected gain in validation accuracy of the candidate over the baseline, a "
        "fraction."
    )


class TriedConfiguration(BaseModel):
    """A configuration and the runs of it that the surface was fitted to."""

    model_config = ConfigDict(frozen=True)

    setting: HamConfig
    runs: int = Field(description="Number of full-length runs.")
    validation_accuracy: float | None = Field(
        description="Mean over its runs, a fraction; null if all failed."
    )


class SurfaceGrid(BaseModel):
    """A response surface on a grid, at the time of its recommendation.

    If more than alpha and beta was tuned, it is the slice through the candidate.
    """

    model_config = ConfigDict(frozen=True)

    alphas: tuple[float, ...] = Field(description="Levels of alpha; the first may be zero.")
    betas: tuple[float, ...] = Field(description="Levels of beta; the first may be zero.")
    mean: tuple[tuple[float, ...], ...] = Field(
        description="Expected validation accuracy, one row per alpha, one column per beta. A run "
        "far below the median counts as a little below it, so deep valleys are drawn shallow."
    )
    deviation: tuple[tuple[float, ...], ...] = Field(
        description="Standard deviation of the surface, in the shape of `mean`."
    )
    near_optimal: float = Field(
        description="Lowest value of `mean` that is within one standard error of the candidate."
    )
    candidate: HamConfig
    tried: tuple[TriedConfiguration, ...]
