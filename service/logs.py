"""Structured logs: one JSON object per line, or coloured text in a terminal. Secrets are masked.

Modules log through the standard library. Ids that are bound
(``structlog.contextvars.bound_contextvars``) are added to every line: ``request_id`` in the API,
``study_id`` in a runner.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import structlog
from structlog.types import Processor

from service.settings import Settings

_SECRETS = (
    (re.compile(r"(hamtune_[0-9a-z]{26}_)[A-Za-z0-9_-]+"), r"\1***"),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+@"), r"\1***@"),
    (re.compile(r"(?i)(authorization\W+(?:bearer|basic)\s+)[^\s'\",]+"), r"\1***"),
    (re.compile(r"(?i)(\bpassword=)[^&\s'\"]+"), r"\1***"),
)


_SIGNS = ("hamtune_", "@", "authorization", "password=")
"""A text without any of these holds no secret, so most texts skip the patterns."""


def configure(settings: Settings) -> None:
    """Send the logs of this process, its own and those of libraries, to stderr."""
    format = settings.log_format
    text = format == "text" or (format == "auto" and sys.stderr.isatty())
    rendered: list[Processor] = [structlog.dev.ConsoleRenderer()]
    if not text:
        rendered = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *rendered,
                _mask,
            ],
        )
    )
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _mask(_logger: Any, _method: str, line: Any) -> str:
    """Mask API keys, and passwords in URLs, in a finished line."""
    return masked(str(line))


def masked(text: str) -> str:
    """Return a text with its secrets masked."""
    lowered = text.lower()
    if not any(sign in lowered for sign in _SIGNS):
        return text
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text
