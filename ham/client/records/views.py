"""Answers of the API beyond the stored records: pages, and records with their progress."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.estimates import CostEstimate
from ham.client.records.studies import Plan, Progress, Study
from ham.client.records.sweeps import Sweep, SweepProgress

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None = Field(
        default=None, description="Send it as `cursor` for the next page; null on the last page."
    )


class StudyView(Study):
    """A study with its progress."""

    progress: Progress


class PlanView(Plan):
    """A plan with its estimated cost."""

    estimate: CostEstimate


class SweepView(Sweep):
    """A sweep with its progress."""

    progress: SweepProgress


class Reason(BaseModel):
    """The reason for a command; it is stored with the event."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "the learning rate is wrong"}]}
    )

    reason: str | None = Field(None, min_length=1, max_length=1000)


class Health(BaseModel):
    """Sign that the service is up."""

    status: str = Field(description="`ok`.")
    version: str
    instance: str = Field(description="Changes with every start of the process.")
