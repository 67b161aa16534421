"""What happened to studies, in order."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.lifecycle import StudyState


class EventKind(StrEnum):
    """What an event tells."""

    STATE = "state"
    CHANGE = "change"
    RUN = "run"


class StudyEvent(BaseModel):
    """One thing that happened to a study."""

    model_config = ConfigDict(frozen=True)

    id: int = Field(description="Grows with every event, of all studies together.")
    study_id: str
    at: datetime
    kind: EventKind = Field(
        description="`state`: it went from `source` to `state`. `change`: its priority or budget "
        "was changed. `run`: a training began or ended."
    )
    by: str | None = Field(description="Who: a submitter, or the scheduler that works on it.")
    source: StudyState | None = Field(description="The state before; of kind `state` only.")
    state: StudyState = Field(description="The state since then.")
    reason: str | None
    details: dict[str, Any] = Field(
        description="Of kind `change`: what was set. Of kind `run`: the run's id, purpose, trial "
        "number, setting, seed, state and validation accuracy."
    )
