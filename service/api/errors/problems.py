"""Problems: the format of every error, problem+json (RFC 9457)."""

from __future__ import annotations

import json
import math
from http import HTTPStatus
from typing import Any

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"
_MAX_SHOWN = 200
_RETRY_AFTER_SECONDS = "5"


class FieldProblem(BaseModel):
    """One field that breaks a rule."""

    field: str = Field(description="Dotted path of the field, for example `budget.trials`.")
    value: Any = Field(description="Its value; shortened if long, null if absent.")
    allowed: str = Field(description="The rule in words, or the allowed values.")


class Problem(BaseModel):
    """An error. `detail` says what happened and what to do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "detail": "sparsity=1.2 is not allowed; 0 <= sparsity < 1 must hold",
                    "instance": "/v1/studies",
                    "errors": [
                        {
                            "field": "sparsity",
                            "value": 1.2,
                            "allowed": "0 <= sparsity < 1 must hold",
                        }
                    ],
                }
            ]
        }
    )

    type: str = Field(
        default="about:blank", description="`about:blank`: the status says everything."
    )
    title: str = Field(description="The status in words.")
    status: int
    detail: str
    instance: str = Field(description="Path of the request.")
    errors: list[FieldProblem] = Field(
        default=[], description="The fields that break a rule, if any."
    )


def problem(
    status: int,
    detail: str,
    instance: str,
    errors: list[FieldProblem] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """Return a problem as a response."""
    body = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=instance,
        errors=errors or [],
    )
    # ASCII: a request may contain lone surrogates, which UTF-8 cannot encode.
    content = json.dumps(body.model_dump(), allow_nan=False)
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def unavailable(detail: str, instance: str) -> Response:
    """Return the problem of a service that is temporarily unavailable; clients may retry."""
    return problem(503, detail, instance, headers={"Retry-After": _RETRY_AFTER_SECONDS})


def field_problem(field: str, value: object, allowed: str) -> FieldProblem:
    """Return a field problem with a value that is short and valid JSON."""
    plain = value is None or isinstance(value, str | bool | int | float)
    if not plain or (isinstance(value, float) and not math.isfinite(value)):
        value = repr(value)
    if len(str(value)) > _MAX_SHOWN:
        value = str(value)[:_MAX_SHOWN] + "…"
    return FieldProblem(field=field, value=value, allowed=allowed)


_MEANINGS = {
    400: "The body cannot be read, or the address contains an API key.",
    401: "A key is needed: `Authorization: Bearer KEY`.",
    403: "The key, or the origin of the request, does not allow it.",
    404: "There is nothing of this name; `detail` says what exists.",
    409: "The request contradicts what is stored.",
    413: "The body is larger than the service takes.",
    422: "A field breaks a rule; `errors` names each with its value and what is allowed.",
    429: "Too many at a time; `Retry-After` says when to try again.",
    503: "The database is unavailable or not ready; `Retry-After` says when to try again.",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI `responses` of a route that may answer with these problems."""
    return {status: {"model": Problem, "description": _MEANINGS[status]} for status in statuses}
