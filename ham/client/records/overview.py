"""What all leaderboards say together."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.recommendations import Grade


class Comparison(BaseModel):
    """Two ways to set HAM, compared within each combination that has both, paired by seed."""

    model_config = ConfigDict(frozen=True)

    role: str = Field(description="`tuned`, `no HAM` or `paper`.")
    other: str = Field(description="What it is compared with.")
    combinations: int = Field(description="Combinations compared.")
    wins: int = Field(description="Where the 95 % interval of its gain lies above zero.")
    losses: int = Field(description="Where it lies below zero; the rest are ties.")
    mean_gain: float | None = Field(
        description="Mean over the combinations of its gain in test accuracy, a fraction."
    )


class Method(BaseModel):
    """A sparsifier with an optimizer and a way to set HAM, over all boards that rank it."""

    model_config = ConfigDict(frozen=True)

    sparsifier: str
    optimizer: str
    role: str
    benchmarks: int = Field(description="Leaderboards that rank it.")
    firsts: int = Field(description="Of these, where it is first, alone or in a tie.")
    mean_rank: float
    win_rate: float = Field(
        description="Share of its rivals on a board that it is before, a tie counting half, "
        "averaged over boards: comparable between boards of unequal length."
    )


class Overview(BaseModel):
    """All leaderboards in one look."""

    model_config = ConfigDict(frozen=True)

    benchmarks: int
    combinations: int = Field(description="Combinations that have been tuned.")
    grades: dict[Grade, int] = Field(description="How many of them have each grade.")
    environments: tuple[str, ...] = Field(
        description="Where the ranked runs were trained; more than one means that boards differ."
    )
    settings: tuple[Comparison, ...]
    methods: tuple[Method, ...] = Field(description="Highest share of rivals beaten first.")
