"""The templates of the pages, and how their numbers are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.templating import Jinja2Templates

from ham.config import format_sparsity
from service import formatting

FOLDER = Path(__file__).parent
PAGE_HEADERS = {"Content-Security-Policy": "default-src 'self'", "Cache-Control": "no-store"}
PICTURE_HEADERS = {"Cache-Control": "private, max-age=86400, immutable"}
"""Headers of a picture of stored evidence, which never changes."""

_ROLES = {"no HAM": "baseline", "no HAM, recipe": "recipe baseline"}


def role_name(role: str) -> str:
    """Return the role of a configuration as the pages write it.

    Stored evidence calls the baseline "no HAM".
    """
    return _ROLES.get(role, role)


templates = Jinja2Templates(directory=FOLDER / "templates")
templates.env.filters |= {
    "percent": formatting.percent,
    "points": formatting.points,
    "interval": formatting.interval,
    "strength": formatting.strength,
    "joint": formatting.joint_notes,
    "optimum": formatting.optimum_sentences,
    "range": formatting.searched_range,
    "early_stopping": formatting.early_stopping_sentence,
    "duration": formatting.duration,
    "amount": formatting.amount,
    "count": formatting.count,
    "sparsity": format_sparsity,
    "role": role_name,
}
templates.env.globals |= {
    "stage": formatting.stage,
    "pareto_intervals": formatting.PARETO_INTERVALS,
}
templates.env.trim_blocks = templates.env.lstrip_blocks = True


def page_response(request: Request, template: str, **context: Any) -> Response:
    """Return a page made from a template; browsers do not keep it."""
    return templates.TemplateResponse(request, template, context, headers=PAGE_HEADERS)
