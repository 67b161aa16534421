"""Events of studies, in order."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.lifecycle import StudyState


class EventKind(StrEnum):
    """Kind of an event."""

    STATE = "state"
    CHANGE = "change"
    RUN = "run"


class StudyEvent(BaseModel):
    """One event of a study: a state change, a change of its plan, or the begin or end of a run."""

    model_config = ConfigDict(frozen=True)

    id: int = Field(description="Grows with every event of every study.")
    study_id: str
    at: datetime
    kind: EventKind = Field(
        description="`state`: the study changed from `source` to `state`. `change`: its priority "
        "or budget was changed. `run`: a training began or ended."
    )
    by: str | None = Field(description="A submitter, or the scheduler that works on the study.")
    source: StudyState | None = Field(
        description="State before the event; only for events of kind `state`."
    )
    state: StudyState = Field(description="State after the event.")
    reason: str | None
    details: dict[str, Any] = Field(
        description="For kind `change`: the new values. For kind `run`: the run's id, purpose, "
        "trial number, setting, seed, state and validation accuracy."
    )
