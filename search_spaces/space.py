"""What is searched: ranges on logarithmic axes with an explicit share of exact zeros.

A logarithmic axis cannot hold zero, yet "off" is a value worth trying. So each axis reaches a
little below its low end, and whatever is proposed down there means exactly 0. The axis stays
continuous for the sampler: weaker and weaker, then off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from ham.config import NO_HAM, SCHEDULES, Schedule, Setting
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

    @property
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

    def place(self, value: float) -> float:
        """Return where a value lies on the sampled axis: 0 at its floor (zero), 1 at `high`."""
        return math.log(self.encode(value) / self.floor) / math.log(self.high / self.floor)

    def contains(self, value: float) -> bool:
        """Tell whether decoding can give this value."""
        return self.low <= value <= self.high or (value == 0 and self.zero_share > 0)


Joint = Literal["learning_rate", "weight_decay"]
JOINT: tuple[Joint, ...] = get_args(Joint)
"""What a study may tune beside alpha and beta, as multiples of the recipe's value."""


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The ranges of a study, named and versioned.

    Args:
        name, version: of the file that declares it.
        alpha, beta: ranges that every study searches.
        learning_rate, weight_decay: ranges of multiples of the recipe's values, which hold 1; None
            where a study may not tune them.
        schedules: of alpha and beta, what a study may choose from.
        tune: what the study tunes beside alpha and beta.
        alpha_schedule, beta_schedule: what the study has chosen for all its settings with HAM.
    """

    name: str
    version: int
    alpha: LogRange
    beta: LogRange
    learning_rate: LogRange | None = None
    weight_decay: LogRange | None = None
    schedules: tuple[Schedule, ...] = ("constant",)
    tune: tuple[Joint, ...] = ()
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
        offered = [name for name in JOINT if getattr(self, name) is not None]
        for name in self.tune:
            if name not in offered:
                raise InvalidConfig("tune", name, _declared(self.id, offered))
        if unknown := set(self.schedules) - set(SCHEDULES):
            raise InvalidConfig("schedules", sorted(unknown), f"allowed: {', '.join(SCHEDULES)}")
        for field, chosen in (
            ("alpha_schedule", self.alpha_schedule),
            ("beta_schedule", self.beta_schedule),
        ):
            if chosen not in self.schedules:
                raise InvalidConfig(field, chosen, _declared(self.id, self.schedules))

    @property
    def id(self) -> str:
        """Name and version, for example ``default@1``."""
        return f"{self.name}@{self.version}"

    def choosing(
        self, tune: Sequence[Joint], alpha_schedule: Schedule, beta_schedule: Schedule
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

    def axes(self, *, with_ham: bool = True) -> dict[str, LogRange]:
        """Return what is searched, by name: settings with HAM, or those without it."""
        names = ("alpha", "beta", *self.tune) if with_ham else self.tune
        return {name: getattr(self, name) for name in names}

    def decode(self, sampled: Mapping[str, float]) -> Setting:
        """Turn a point of the sampled axes into a setting; a missing alpha and beta are no HAM."""
        axes = self.axes()
        values: dict[str, Any] = {name: axes[name].decode(at) for name, at in sampled.items()}
        return self.scheduled(replace(NO_HAM, **values))

    def scheduled(self, setting: Setting) -> Setting:
        """Return the setting with the study's schedules; what is zero has none."""
        return replace(
            setting,
            alpha_schedule=self.alpha_schedule if setting.alpha else "constant",
            beta_schedule=self.beta_schedule if setting.beta else "constant",
        )

    def encode(self, setting: Setting, *, with_ham: bool = True) -> dict[str, float]:
        """Turn a setting into the nearest point of the sampled axes."""
        axes = self.axes(with_ham=with_ham)
        return {name: axis.encode(getattr(setting, name)) for name, axis in axes.items()}

    def contains(self, setting: Setting) -> bool:
        """Tell whether the search can propose this setting."""
        axes = self.axes().items()
        return self.spans(setting) and all(
            axis.contains(getattr(setting, name)) for name, axis in axes
        )

    def spans(self, setting: Setting) -> bool:
        """Tell whether a setting differs from those that are proposed by its place at most.

        What was trained with another learning rate, or another schedule, says nothing of a space
        that does not vary it.
        """
        fixed = [name for name in JOINT if name not in self.tune]
        return setting == self.scheduled(setting) and all(
            getattr(setting, name) == 1 for name in fixed
        )


def _declared(space: str, names: Sequence[str]) -> str:
    return f"search space {space} declares: {', '.join(names) or 'nothing of the kind'}"
