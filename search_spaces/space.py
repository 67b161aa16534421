"""What is searched: ranges on logarithmic axes with an explicit share of exact zeros.

A logarithmic axis cannot hold zero, yet "off" is a value worth trying. So each axis reaches a
little below its low end, and whatever is proposed down there means exactly 0. The axis stays
continuous for the sampler: weaker and weaker, then off.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from ham.config import Setting
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


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The ranges of a study, named and versioned."""

    name: str
    version: int
    alpha: LogRange
    beta: LogRange

    @property
    def id(self) -> str:
        """Name and version, for example ``default@1``."""
        return f"{self.name}@{self.version}"

    def decode(self, sampled: dict[str, float]) -> Setting:
        """Turn sampled ``alpha`` and ``beta`` into a setting."""
        return Setting(
            alpha=self.alpha.decode(sampled["alpha"]), beta=self.beta.decode(sampled["beta"])
        )

    def encode(self, setting: Setting) -> dict[str, float]:
        """Turn a setting into the nearest point of the sampled axes."""
        return {
            "alpha": self.alpha.encode(setting.alpha),
            "beta": self.beta.encode(setting.beta),
        }

    def contains(self, setting: Setting) -> bool:
        """Tell whether the search can propose this setting."""
        return self.alpha.contains(setting.alpha) and self.beta.contains(setting.beta)

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries of numbers and strings."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SearchSpace:
        """Rebuild what :meth:`to_json` gave, validated again."""
        return cls(
            name=data["name"],
            version=data["version"],
            alpha=LogRange(**data["alpha"]),
            beta=LogRange(**data["beta"]),
        )
