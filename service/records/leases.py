"""The lease of a study, and the control flags of a running study."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.studies import Plan


class StudyLease(BaseModel):
    """The right to write to a running study, until another runner takes the study over.

    Attributes:
        study_id: the study.
        token: fencing token; it grows with every claim of the study.
    """

    model_config = ConfigDict(frozen=True)

    study_id: str
    token: int


class ControlFlags(BaseModel):
    """What people ask of a running study. Its runner reads them about once a second."""

    model_config = ConfigDict(frozen=True)

    pause_requested: bool = Field(
        description="Begin no new training; release the study when the running ones have ended."
    )
    plan: Plan
