"""What the API answers beyond the stored records: pages, and records with their progress."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.estimates import CostEstimate
from ham.client.records.studies import Plan, Progress, Study
from ham.client.records.sweeps import Sweep, SweepProgress

T = TypeVar("T")


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


class SweepView(Sweep):
    """A sweep and how far it is."""

    progress: SweepProgress


class Reason(BaseModel):
    """Why something is asked for; kept with the event."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "the learning rate is wrong"}]}
    )

    reason: str | None = Field(None, min_length=1, max_length=1000)


class Health(BaseModel):
    """The service is up."""

    status: str = Field(description="`ok`.")
    version: str
    instance: str = Field(description="Changes whenever the process is started anew.")
