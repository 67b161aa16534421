"""Log lines of runners, stored with their study and run."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class LogLevel(StrEnum):
    """Severity of a log line."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class NewLogLine(BaseModel):
    """A log line before it is stored."""

    model_config = ConfigDict(frozen=True)

    run_id: str | None = Field(
        default=None, description="Id of the run, if the line is about one run."
    )
    at: datetime
    level: LogLevel
    event: str = Field(description="Message of the log line.")
    details: dict[str, Any] = Field(
        default={}, description="Values by name; `exception` is a traceback."
    )


class LogLine(NewLogLine):
    """A stored log line."""

    id: int = Field(description="Grows from line to line of a study.")
    study_id: str
