"""What is searched: logarithmic ranges with an explicit share of exact zeros, and schedules.

A logarithmic axis cannot hold zero, yet "off" is a value worth trying. So each axis reaches a
little below its low end, and whatever is proposed down there means exactly 0. The axis stays
continuous for the sampler: weaker and weaker, then off.
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
    """A log-uniform range, some share of which stands for exactly zero.

    Args:
        low: smallest value that is not zero, > 0.
        high: largest value, > low.
        zero_share: share of the sampled axis that means zero, in [0, 1).
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
        """Low end of the sampled axis: values in [floor, low) mean zero."""
        if self.zero_share == 0:
            return self.low  # exactly: anything below would mean zero
        return self.high * (self.low / self.high) ** (1 / (1 - self.zero_share))

    def decode(self, sampled: float) -> float:
        """Turn a point of the sampled axis into the value it means.

        Values have three significant digits: what is printed is exactly what was trained.
        """
        if sampled < self.low:
            return 0.0
        return min(max(float(f"{sampled:.3g}"), self.low), self.high)

    def encode(self, value: float) -> float:
        """Turn a value into a point of the axis; zero becomes the floor, the rest is clipped."""
        if value == 0:
            return self.floor
        return min(max(value, self.low), self.high)

    def coordinate(self, value: float) -> float:
        """Return where a value lies on the sampled axis: 0 at its floor (zero), 1 at `high`."""
        return math.log(self.encode(value) / self.floor) / math.log(self.high / self.floor)

    def contains(self, value: float) -> bool:
        """Tell whether decoding can give this value."""
        return self.low <= value <= self.high or (value == 0 and self.zero_share > 0)


Joint = Literal["learning_rate", "weight_decay"]
JOINT: tuple[Joint, ...] = get_args(Joint)
"""What a study may tune beside alpha and beta, as multiples of the recipe's value."""
Scheduled = Literal["alpha_schedule", "beta_schedule"]
SCHEDULED: tuple[Scheduled, ...] = get_args(Scheduled)
Tunable = Literal[Joint, Scheduled]
TUNABLE: tuple[Tunable, ...] = (*JOINT, *SCHEDULED)
"""All that a study may tune beside alpha and beta."""
Branch = Literal["ham", "baseline"]
"""A branch of a search proposes configurations with HAM, or without it (the baseline)."""

DEPARTURES: dict[Schedule, float] = {
    "constant": 0.0,
    "linear": math.sqrt(1 / 3),
    "cosine": math.sqrt(3 / 8),
}
"""Root mean square, over a training, of the share that a schedule takes off a strength. Settings
that differ by their schedules are about as far apart as these are: linear and cosine are alike."""


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The ranges of a study, named and versioned.

    Args:
        name, version: of the file that declares it.
        alpha, beta: ranges that every study searches.
        learning_rate, weight_decay: ranges of multiples of the recipe's values, which hold 1; None
            where a study may not tune them.
        schedules: of alpha and beta, what a study may choose from; "constant" is one of them.
        tune: what the study tunes beside alpha and beta.
        alpha_schedule, beta_schedule: what the study has chosen for all its settings with HAM,
            where it does not tune them.
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
                    name, [axis.low, axis.high], "it must hold 1, the recipe's own value"
                )
        if self.learning_rate is not None and self.learning_rate.zero_share:
            raise InvalidConfig(
                "learning_rate.zero_share", self.learning_rate.zero_share, "nothing trains at 0"
            )
        if unknown := set(self.schedules) - set(SCHEDULES):
            raise InvalidConfig("schedules", sorted(unknown), f"allowed: {', '.join(SCHEDULES)}")
        if "constant" not in self.schedules:
            raise InvalidConfig("schedules", list(self.schedules), "constant must be one of them")
        offered: list[str] = [name for name in JOINT if getattr(self, name) is not None]
        offered += SCHEDULED if len(self.schedules) > 1 else ()
        for tuned in self.tune:
            if tuned not in offered:
                raise InvalidConfig("tune", tuned, _declared(self.id, offered))
        for field in SCHEDULED:
            chosen = getattr(self, field)
            if chosen not in self.schedules:
                raise InvalidConfig(field, chosen, _declared(self.id, self.schedules))
            if chosen != "constant" and field in self.tune:
                raise InvalidConfig(field, chosen, "it is tuned: leave either out")

    @property
    def id(self) -> str:
        """Name and version, for example ``default@1``."""
        return f"{self.name}@{self.version}"

    def choosing(
        self, tune: Sequence[Tunable], alpha_schedule: Schedule, beta_schedule: Schedule
    ) -> SearchSpace:
        """Return the space of a study that makes these choices.

        Raises:
            InvalidConfig: the space does not declare them.
        """
        return replace(
            self,
            tune=tuple(sorted(set(tune))),
            alpha_schedule=alpha_schedule,
            beta_schedule=beta_schedule,
        )

    @property
    def multiples(self) -> tuple[Joint, ...]:
        """What is tuned with HAM and without it."""
        return tuple(name for name in JOINT if name in self.tune)

    @property
    def tuned_schedules(self) -> tuple[Scheduled, ...]:
        """The schedules that are tuned; those without HAM have none."""
        return tuple(name for name in SCHEDULED if name in self.tune)

    def axes(self, *, branch: Branch = "ham") -> dict[str, LogRange]:
        """Return the ranges that one branch searches, by name."""
        names = ("alpha", "beta", *self.multiples) if branch == "ham" else self.multiples
        return {name: getattr(self, name) for name in names}

    def choices(self, *, branch: Branch = "ham") -> dict[str, tuple[Schedule, ...]]:
        """Return the lists that one branch chooses from, by name."""
        return dict.fromkeys(self.tuned_schedules, self.schedules) if branch == "ham" else {}

    def decode(self, sampled: Mapping[str, Any]) -> HamConfig:
        """Turn a point of the axes, and choices, into a setting; what is missing is no HAM's."""
        axes = self.axes()
        values: dict[str, Any] = {
            name: axes[name].decode(at) if name in axes else at for name, at in sampled.items()
        }
        return self.scheduled(replace(RECIPE_BASELINE, **values))

    def scheduled(self, setting: HamConfig) -> HamConfig:
        """Return the setting with the study's schedules; what is zero has none."""
        shapes: dict[str, Any] = {
            name: getattr(setting if name in self.tune else self, name) for name in SCHEDULED
        }
        if not setting.alpha:
            shapes["alpha_schedule"] = "constant"
        if not setting.beta:
            shapes["beta_schedule"] = "constant"
        return replace(setting, **shapes)

    def encode(self, setting: HamConfig, *, branch: Branch = "ham") -> dict[str, Any]:
        """Turn a setting into the nearest point of the sampled axes, and its choices."""
        axes, choices = self.axes(branch=branch), self.choices(branch=branch)
        at = {name: axis.encode(getattr(setting, name)) for name, axis in axes.items()}
        return at | {name: getattr(setting, name) for name in choices}

    def coordinate(self, setting: HamConfig) -> tuple[float, ...]:
        """Return where a setting lies: on each axis in [0, 1], then its tuned schedules.

        A schedule's place is in :data:`DEPARTURES`; that of a strength of zero changes nothing.
        """
        return tuple(column[0] for column in self.coordinates([setting]))

    def coordinates(self, settings: Sequence[HamConfig]) -> list[list[float]]:
        """Return the same of many settings, a column for each axis and tuned schedule."""
        columns = []
        for name, axis in self.axes().items():
            values = [getattr(setting, name) for setting in settings]
            at = {value: axis.coordinate(value) for value in set(values)}  # a grid repeats few
            columns.append([at[value] for value in values])
        if self.tuned_schedules:
            scheduled = [self.scheduled(setting) for setting in settings]
            columns += [
                [DEPARTURES[getattr(setting, name)] for setting in scheduled]
                for name in self.tuned_schedules
            ]
        return columns

    def contains(self, setting: HamConfig) -> bool:
        """Tell whether the search can propose this setting."""
        axes = self.axes().items()
        return self.spans(setting) and all(
            axis.contains(getattr(setting, name)) for name, axis in axes
        )

    def spans(self, setting: HamConfig) -> bool:
        """Tell whether a setting differs from those that are proposed by its place at most.

        What was trained with another learning rate, or another schedule, says nothing of a space
        that does not vary it.
        """
        fixed = [name for name in JOINT if name not in self.tune]
        return (
            setting == self.scheduled(setting)
            and all(getattr(setting, name) in self.schedules for name in SCHEDULED)
            and all(getattr(setting, name) == 1 for name in fixed)
        )


def _declared(space: str, names: Sequence[str]) -> str:
    return f"search space {space} declares: {', '.join(names) or 'nothing of the kind'}"
