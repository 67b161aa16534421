"""The overview: all leaderboards together."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.recommendations import Grade


class Comparison(BaseModel):
    """Two roles, compared within each combination that has both, paired by seed."""

    model_config = ConfigDict(frozen=True)

    role: str = Field(description="`tuned`, `no HAM` (the baseline) or `paper`.")
    other: str = Field(description="The role that it is compared with.")
    combinations: int = Field(description="Number of combinations compared.")
    wins: int = Field(
        description="Number of combinations in which the 95 % interval of its gain lies above "
        "zero."
    )
    losses: int = Field(
        description="Number of combinations in which the 95 % interval of its gain lies below "
        "zero. The others are ties."
    )
    mean_gain: float | None = Field(
        description="Gain in test accuracy, a fraction, averaged over the combinations."
    )


class Method(BaseModel):
    """A sparsifier with an optimizer and a role, over all leaderboards that rank it."""

    model_config = ConfigDict(frozen=True)

    sparsifier: str
    optimizer: str
    role: str
    benchmarks: int = Field(description="Number of leaderboards that rank it.")
    firsts: int = Field(
        description="Number of leaderboards on which it is first, alone or in a tie."
    )
    mean_rank: float
    win_rate: float = Field(
        description="Share of the other methods on a leaderboard that it ranks above, averaged "
        "over leaderboards. A tie counts half. The share is comparable between leaderboards of "
        "different length."
    )


class Overview(BaseModel):
    """All leaderboards together."""

    model_config = ConfigDict(frozen=True)

    benchmarks: int
    combinations: int = Field(description="Number of combinations that have been tuned.")
    grades: dict[Grade, int] = Field(description="Number of combinations by grade.")
    environments: tuple[str, ...] = Field(
        description="Environments in which the ranked runs were trained. With more than one, "
        "leaderboards may differ because of them."
    )
    settings: tuple[Comparison, ...]
    methods: tuple[Method, ...] = Field(description="Sorted by win rate, highest first.")
