"""What runners log, kept with the study and the run that it is about."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class LogLevel(StrEnum):
    """How much a line matters."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class NewLogLine(BaseModel):
    """One line of a log, before it is stored."""

    model_config = ConfigDict(frozen=True)

    run_id: str | None = Field(default=None, description="The run it is about, if it is of one.")
    at: datetime
    level: LogLevel
    event: str = Field(description="What happened.")
    details: dict[str, Any] = Field(
        default={}, description="Its facts by name; `exception` is a traceback."
    )


class LogLine(NewLogLine):
    """One stored line of a log."""

    id: int = Field(description="Grows from line to line of a study.")
    study_id: str
