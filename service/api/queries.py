"""What the queries of lists and lookups take. Imports no FastAPI."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records import (
    CombinationFilter,
    LogLevel,
    Purpose,
    RunState,
    StudyState,
)

_ULID = "01kb0f4q8e9w3m5r7t1v6x2y4z"


def _cursor(pattern: str) -> Any:
    """Return the field by which a list is continued."""
    prefix, ulid, _ = pattern.partition("[0-9a-z]{26}")
    return Field(
        None,
        pattern=f"^{pattern}$",
        description="The `next_cursor` of the page before.",
        examples=[prefix + _ULID if ulid else "200"],
    )


class CombinationQuery(CombinationFilter):
    """Which combinations are meant; what is left out matches all."""

    model: str | None = Field(None, max_length=100, description="Name.", examples=["digits_cnn"])
    dataset: str | None = Field(None, max_length=100, description="Name.", examples=["digits"])
    sparsifier: str | None = Field(None, max_length=100, description="Name.", examples=["random"])
    sparsity: float | None = Field(
        None, ge=0, lt=1, description="Fraction of zero weights.", examples=[0.9]
    )
    optimizer: str | None = Field(None, max_length=100, description="Name.", examples=["sgd"])
    recipe: str | None = Field(
        None,
        max_length=100,
        pattern=r"^[A-Za-z0-9_.-]+@[0-9]+$",
        description="Id: name and version.",
        examples=["digits@1"],
    )

    def combinations(self) -> CombinationFilter:
        """Return the part that says which combinations."""
        return CombinationFilter(**self.model_dump(include=set(CombinationFilter.model_fields)))


class StudyQuery(CombinationQuery):
    """Which studies, and which part of their list."""

    state: StudyState | None = Field(None, description="Only studies in this state.")
    submitter: str | None = Field(
        None,
        max_length=100,
        pattern="^[0-9A-Za-z_.-]+$",
        description="Only studies of his.",
        examples=[f"key_{_ULID}"],
    )
    sweep_id: str | None = Field(
        None,
        pattern="^sweep_[0-9a-z]{26}$",
        description="Only studies of this sweep.",
        examples=[f"sweep_{_ULID}"],
    )
    limit: int = Field(50, ge=1, le=200, description="Studies per page.")
    cursor: str | None = _cursor("study_[0-9a-z]{26}")


class RecommendationQuery(CombinationQuery):
    """Which recommendations, and which part of their list."""

    limit: int = Field(50, ge=1, le=200, description="Recommendations per page.")
    cursor: str | None = _cursor("rec_[0-9a-z]{26}")


class LeaderboardQuery(BaseModel):
    """Which part of the list of leaderboards."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(20, ge=1, le=100, description="Leaderboards per page.")
    cursor: str | None = Field(
        None,
        max_length=300,
        description="The `next_cursor` of the page before.",
        examples=["digits_cnn-digits-0.90-digits@1"],
    )


class ExternalRunQuery(CombinationQuery):
    """Which runs made elsewhere, and which part of their list."""

    limit: int = Field(50, ge=1, le=200, description="Runs per page.")
    cursor: str | None = _cursor("external_[0-9a-z]{26}")


class SweepQuery(BaseModel):
    """Which part of the list of sweeps."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200, description="Sweeps per page.")
    cursor: str | None = _cursor("sweep_[0-9a-z]{26}")


class VersionQuery(BaseModel):
    """Which part of the versions of a recommendation."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200, description="Versions per page.")
    cursor: str | None = _cursor("[0-9]{1,9}")


class EventQuery(BaseModel):
    """Which part of a history."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=500, description="Events per page.")
    cursor: str | None = _cursor("[0-9]{1,9}")


class LogQuery(BaseModel):
    """Which part of a log."""

    model_config = ConfigDict(extra="forbid")

    level: LogLevel = Field(LogLevel.DEBUG, description="Only lines that matter as much.")
    limit: int = Field(200, ge=1, le=1000, description="Lines per page.")
    cursor: str | None = _cursor("[0-9]{1,18}")


class RunQuery(CombinationQuery):
    """Which runs, and which part of their list."""

    study_id: str | None = Field(
        None,
        pattern="^study_[0-9a-z]{26}$",
        description="Only runs of this study.",
        examples=[f"study_{_ULID}"],
    )
    purpose: Purpose | None = Field(None, description="Only runs of this stage.")
    state: RunState | None = Field(None, description="Only runs in this state.")
    limit: int = Field(50, ge=1, le=500, description="Runs per page.")
    cursor: str | None = _cursor("run_[0-9a-z]{26}")


class CombinationListQuery(CombinationQuery):
    """Which combinations, and which part of their list."""

    limit: int = Field(50, ge=1, le=500, description="Combinations per page.")
    cursor: str | None = _cursor("[0-9]{1,9}")


class StudyRunsQuery(BaseModel):
    """Which part of the runs of a study."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(200, ge=1, le=1000, description="Runs per page.")
    cursor: str | None = _cursor("run_[0-9a-z]{26}")
