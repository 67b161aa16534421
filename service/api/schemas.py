"""What the API answers beyond the records, and what its queries take. Imports no FastAPI."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from ham.config import Recipe, Schedule
from search_spaces import LogRange
from service.records import (
    CombinationFilter,
    CostEstimate,
    LogLevel,
    Plan,
    Progress,
    Purpose,
    RunState,
    Study,
    StudyState,
    Sweep,
    SweepProgress,
)

T = TypeVar("T")


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


class Page(BaseModel, Generic[T]):
    """A part of a list."""

    items: list[T]
    next_cursor: str | None = Field(
        default=None, description="Send it as `cursor` for the next page; null on the last."
    )


class StudyView(Study):
    """A study and how far it is."""

    progress: Progress


class PlanView(Plan):
    """What a study would run, and what that would cost."""

    estimate: CostEstimate


class Reason(BaseModel):
    """Why something is asked for; kept with the event."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "the learning rate is wrong"}]}
    )

    reason: str | None = Field(None, min_length=1, max_length=1000)


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


class SweepView(Sweep):
    """A sweep and how far it is."""

    progress: SweepProgress


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


class CatalogRow(BaseModel):
    """Something that can be named in a request."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    title: str
    description: str
    reference: str = Field(description="Paper and link; empty where there is none.")


class ModelView(CatalogRow):
    """An architecture."""

    input_shape: tuple[int | None, int | None, int | None] = Field(
        description="(channels, height, width) it takes; null where any size will do."
    )


class DatasetView(CatalogRow):
    """A dataset."""

    shape: tuple[int, int, int] = Field(description="(channels, height, width) of an image.")
    classes: int
    sizes: tuple[int, int, int] = Field(description="Images in (train, validation, test).")
    available: bool = Field(
        description="Whether the machine that answers has the data; workers look for it there too."
    )
    how_to_get: str


class OptimizerView(CatalogRow):
    """A base optimizer, which HAM wraps."""


class SparsifierView(CatalogRow):
    """A method that makes networks sparse."""

    family: str
    takes_sparsity: bool = Field(description="False: its sparsity is always 0.")
    needs_dense_gradient: bool
    prune_fraction: float | None = Field(
        description="Share of the remaining weights that is pruned between the full-length "
        "trainings of a run; null where a run is one training."
    )
    takes_ham: bool = Field(description="False: HAM has no meaning beside it; studies refuse it.")
    leaves_dense: str = Field(
        description="Which layers its authors leave dense, and under which options; empty: none."
    )


class PluginView(BaseModel):
    """What another installed package offers."""

    model_config = ConfigDict(from_attributes=True)

    group: str = Field(description="Entry-point group, for example `ham.sparsifiers`.")
    name: str
    package: str = Field(description="Name and version.")
    error: str | None = Field(description="Why it cannot be used; null where it can.")


class RecipeView(BaseModel):
    """Everything of a training that is not the combination, the setting or the seed."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Name and version; raised whenever anything in it changes.")
    title: str
    dataset: str
    default: bool = Field(description="True: a request for this dataset may leave it out.")
    recipe: Recipe


class SpaceView(BaseModel):
    """Ranges that studies search, on logarithmic axes."""

    id: str
    applies_to: list[str] = Field(description="The sparsifiers whose studies search it.")
    datasets: list[str] = Field(description="On which datasets they do.")
    alpha: LogRange
    beta: LogRange
    learning_rate: LogRange | None = Field(
        description="Multiples of the recipe's that a study may tune as well; null: it may not."
    )
    weight_decay: LogRange | None = Field(description="The same of the weight decay.")
    schedules: list[Schedule] = Field(
        description="How alpha and beta may go to 0 over a training; a study chooses one, or "
        "tunes them."
    )


class Health(BaseModel):
    """The service is up."""

    status: str = Field(description="`ok`.")
    version: str
    instance: str = Field(description="Changes whenever the process is started anew.")
