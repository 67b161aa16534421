"""The right to work on a study, and what people want of it meanwhile."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.studies import Plan


class StudyLease(BaseModel):
    """The right to write to a running study, until another runner takes it over.

    Attributes:
        token: fencing token; it grows with every claim of the study.
    """

    model_config = ConfigDict(frozen=True)

    study_id: str
    token: int


class ControlFlags(BaseModel):
    """What people want of a running study by now; its runner asks every second or so."""

    model_config = ConfigDict(frozen=True)

    pause_requested: bool = Field(
        description="No new training: let those under way end, then let go."
    )
    plan: Plan
