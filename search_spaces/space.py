"""Search spaces: logarithmic ranges with an explicit share of exact zeros, and schedules.

A logarithmic axis does not contain zero, but a strength of zero is worth a trial. Each axis
therefore extends below its low end, and every value proposed there means exactly 0. The axis stays
continuous for the sampler: the strength falls, and then it is 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

from ham.config import RECIPE_BASELINE, SCHEDULES, HamConfig, Schedule
from ham.errors import InvalidConfig


@dataclass(frozen=True, kw_only=True)
class LogRange:
    """A log-uniform range, a share of which means exactly zero.

    Args:
        low: smallest value that is not zero, > 0.
        high: largest value, > low.
        zero_share: share of the sampled axis that means zero, in [0, 1).

    Raises:
        InvalidConfig: a bound or the share is outside its range.
    """

    low: float
    high: float
    zero_share: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < math.inf:
            raise InvalidConfig("low", self.low, f"0 < low < high={self.high} must hold")
        if not 0 <= self.zero_share < 1:
            raise InvalidConfig("zero_share", self.zero_share, "it must be in [0, 1)")

    @cached_property
    def floor(self) -> float:
        """Low end of the sampled axis. Values in [floor, low) mean zero."""
        if self.zero_share == 0:
            return self.low  # exactly: a value below it would mean zero
        return float(self.high * (self.low / self.high) ** (1 / (1 - self.zero_share)))

    def decode(self, sampled: float) -> float:
        """Return the value that a point of the sampled axis means.

        Values have three significant digits, so a printed value is exactly the trained one.
        """
        if sampled < self.low:
            return 0.0
        return min(max(float(f"{sampled:.3g}"), self.low), self.high)

    def encode(self, value: float) -> float:
        """Return the point of the axis for a value: the floor for zero, else the clipped value."""
        if value == 0:
            return self.floor
        return min(max(value, self.low), self.high)

    def coordinate(self, value: float) -> float:
        """Return the coordinate of a value on the sampled axis: 0 at the floor, 1 at ``high``."""
        return math.log(self.encode(value) / self.floor) / math.log(self.high / self.floor)

    def contains(self, value: float) -> bool:
        """Return True if :meth:`decode` can return this value."""
        return self.low <= value <= self.high or (value == 0 and self.zero_share > 0)


Joint = Literal["learning_rate", "weight_decay"]
JOINT: tuple[Joint, ...] = get_args(Joint)
"""Values that a study may tune beside alpha and beta, as multiples of the recipe's values."""
Scheduled = Literal["alpha_schedule", "beta_schedule"]
SCHEDULED: tuple[Scheduled, ...] = get_args(Scheduled)
Tunable = Literal[Joint, Scheduled]
TUNABLE: tuple[Tunable, ...] = (*JOINT, *SCHEDULED)
"""All values and schedules that a study may tune beside alpha and beta."""
Branch = Literal["ham", "baseline"]
"""A branch of a search proposes configurations with HAM, or without it (the baseline)."""

SCHEDULE_COORDINATES: dict[Schedule, float] = {
    "constant": 0.0,
    "linear": math.sqrt(1 / 3),
    "cosine": math.sqrt(3 / 8),
}
"""Coordinate of each schedule: the root mean square, over a training, of the share by which the
schedule reduces a strength. Linear and cosine are therefore close to each other, and far from
constant."""


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The ranges of a study, named and versioned.

    Args:
        name, version: name and version of the file that declares the space.
        alpha, beta: ranges that every study searches.
        learning_rate, weight_decay: ranges of multiples of the recipe's values; each contains 1.
            None if a study may not tune the value.
        schedules: schedules of alpha and beta that a study may choose; "constant" is one of them.
        tune: the values and schedules that the study tunes beside alpha and beta.
        alpha_schedule, beta_schedule: the schedule of all configurations with HAM, unless the
            study tunes it.

    Raises:
        InvalidConfig: a rule above is broken, or ``tune`` names a value that is not declared.
    """

    name: str
    version: int
    alpha: LogRange
    beta: LogRange
    learning_rate: LogRange | None = None
    weight_decay: LogRange | None = None
    schedules: tuple[Schedule, ...] = ("constant",)
    tune: tuple[Tunable, ...] = ()
    alpha_schedule: Schedule = "constant"
    beta_schedule: Schedule = "constant"

    def __post_init__(self) -> None:
        for name in JOINT:
            axis: LogRange | None = getattr(self, name)
            if axis is not None and not axis.low <= 1 <= axis.high:
                raise InvalidConfig(
                    name, [axis.low, axis.high], "it must contain 1, the recipe's own value"
                )
        if self.learning_rate is not None and self.learning_rate.zero_share:
            raise InvalidConfig(
                "learning_rate.zero_share",
                self.learning_rate.zero_share,
                "it must be 0: nothing trains at 0",
            )
        if unknown := set(self.schedules) - set(SCHEDULES):
            raise InvalidConfig("schedules", sorted(unknown), f"allowed: {', '.join(SCHEDULES)}")
        if "constant" not in self.schedules:
            raise InvalidConfig("schedules", list(self.schedules), "it must contain constant")
        declared: list[str] = [name for name in JOINT if getattr(self, name) is not None]
        declared += SCHEDULED if len(self.schedules) > 1 else ()
        for tuned in self.tune:
            if tuned not in declared:
                raise InvalidConfig("tune", tuned, _declared_names(self.id, declared))
        for field in SCHEDULED:
            chosen = getattr(self, field)
            if chosen not in self.schedules:
                raise InvalidConfig(field, chosen, _declared_names(self.id, self.schedules))
            if chosen != "constant" and field in self.tune:
                raise InvalidConfig(
                    field, chosen, "it is tuned: choose a schedule or tune it, not both"
                )

    @property
    def id(self) -> str:
        """Name and version, for example ``default@1``."""
        return f"{self.name}@{self.version}"

    def with_choices(
        self, tune: Sequence[Tunable], alpha_schedule: Schedule, beta_schedule: Schedule
    ) -> SearchSpace:
        """Return the space of a study that tunes these values and chooses these schedules.

        Raises:
            InvalidConfig: the space does not declare one of them.
        """
        return replace(
            self,
            tune=tuple(sorted(set(tune))),
            alpha_schedule=alpha_schedule,
            beta_schedule=beta_schedule,
        )

    @property
    def multiples(self) -> tuple[Joint, ...]:
        """The tuned multiples of the recipe's values, for HAM and for the baseline alike."""
        return tuple(name for name in JOINT if name in self.tune)

    @property
    def tuned_schedules(self) -> tuple[Scheduled, ...]:
        """The tuned schedules of alpha and beta; the baseline has none."""
        return tuple(name for name in SCHEDULED if name in self.tune)

    def axes(self, *, branch: Branch = "ham") -> dict[str, LogRange]:
        """Return the ranges that one branch searches, by name."""
        names = ("alpha", "beta", *self.multiples) if branch == "ham" else self.multiples
        return {name: getattr(self, name) for name in names}

    def choices(self, *, branch: Branch = "ham") -> dict[str, tuple[Schedule, ...]]:
        """Return the schedules that one branch chooses from, by name; empty for the baseline."""
        return dict.fromkeys(self.tuned_schedules, self.schedules) if branch == "ham" else {}

    def decode(self, sampled: Mapping[str, Any]) -> HamConfig:
        """Return the configuration of a sampled point.

        Args:
            sampled: coordinates of the axes and chosen schedules, by name. Names that are missing
                keep the values of the recipe baseline.
        """
        axes = self.axes()
        values: dict[str, Any] = {
            name: axes[name].decode(value) if name in axes else value
            for name, value in sampled.items()
        }
        return self.with_schedules(replace(RECIPE_BASELINE, **values))

    def with_schedules(self, ham_config: HamConfig) -> HamConfig:
        """Return the configuration with the schedules that the study has chosen.

        A schedule that the study tunes keeps its value. The schedule of a strength of 0 becomes
        "constant".
        """
        schedules: dict[str, Any] = {
            name: getattr(ham_config if name in self.tune else self, name) for name in SCHEDULED
        }
        if not ham_config.alpha:
            schedules["alpha_schedule"] = "constant"
        if not ham_config.beta:
            schedules["beta_schedule"] = "constant"
        return replace(ham_config, **schedules)

    def encode(self, ham_config: HamConfig, *, branch: Branch = "ham") -> dict[str, Any]:
        """Return the nearest point of the sampled axes, and the tuned schedules, by name."""
        axes, choices = self.axes(branch=branch), self.choices(branch=branch)
        point = {name: axis.encode(getattr(ham_config, name)) for name, axis in axes.items()}
        return point | {name: getattr(ham_config, name) for name in choices}

    def coordinate(self, ham_config: HamConfig) -> tuple[float, ...]:
        """Return the coordinates of a configuration: in [0, 1] per axis, then tuned schedules.

        The coordinate of a schedule is in :data:`SCHEDULE_COORDINATES`; a strength of 0 has the
        coordinate of "constant".
        """
        return tuple(column[0] for column in self.coordinates([ham_config]))

    def coordinates(self, ham_configs: Sequence[HamConfig]) -> list[list[float]]:
        """Return the coordinates of many configurations: a column per axis and tuned schedule."""
        columns = []
        for name, axis in self.axes().items():
            values = [getattr(ham_config, name) for ham_config in ham_configs]
            by_value = {value: axis.coordinate(value) for value in set(values)}  # few in a grid
            columns.append([by_value[value] for value in values])
        if self.tuned_schedules:
            scheduled = [self.with_schedules(ham_config) for ham_config in ham_configs]
            columns += [
                [SCHEDULE_COORDINATES[getattr(ham_config, name)] for ham_config in scheduled]
                for name in self.tuned_schedules
            ]
        return columns

    def contains(self, ham_config: HamConfig) -> bool:
        """Return True if the search can propose this configuration."""
        axes = self.axes().items()
        return self.spans(ham_config) and all(
            axis.contains(getattr(ham_config, name)) for name, axis in axes
        )

    def spans(self, ham_config: HamConfig) -> bool:
        """Return True if the values that this space does not tune are those of this space.

        A run with another learning rate, or another schedule, is no evidence for a space that
        does not tune it. Coordinates outside the ranges are allowed.
        """
        fixed = [name for name in JOINT if name not in self.tune]
        return (
            ham_config == self.with_schedules(ham_config)
            and all(getattr(ham_config, name) in self.schedules for name in SCHEDULED)
            and all(getattr(ham_config, name) == 1 for name in fixed)
        )


def _declared_names(space: str, names: Sequence[str]) -> str:
    return f"search space {space} declares: {', '.join(names) or 'nothing of the kind'}"
