"""Handlers that turn every error into a problem; no other module maps errors to HTTP."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from ham.errors import InvalidConfig
from service.api.errors.problems import FieldProblem, field_problem, problem
from service.api.errors.unknown_fields import unknown_field
from service.errors import Conflict, Forbidden, LimitReached, NotFound


def add_error_handlers(app: FastAPI) -> None:
    """Register every handler."""
    app.add_exception_handler(InvalidConfig, _invalid_config)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(NotFound, _not_found)
    app.add_exception_handler(Conflict, _conflict)
    app.add_exception_handler(Forbidden, _forbidden)
    app.add_exception_handler(LimitReached, _limit_reached)
    app.add_exception_handler(HTTPException, _http)


def _invalid_config(request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidConfig)
    return _unprocessable(request, [field_problem(error.field, error.value, error.allowed)])


def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _unprocessable(request, [_translate(request, found) for found in error.errors()])


def _not_found(request: Request, error: Exception) -> Response:
    return problem(404, str(error), request.url.path)


def _conflict(request: Request, error: Exception) -> Response:
    return problem(409, str(error), request.url.path)


def _forbidden(request: Request, error: Exception) -> Response:
    return problem(403, str(error), request.url.path)


def _limit_reached(request: Request, error: Exception) -> Response:
    assert isinstance(error, LimitReached)
    headers = {"Retry-After": str(error.retry_after)}
    return problem(429, str(error), request.url.path, headers=headers)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    details = {
        404: f"there is nothing at {request.url.path}; /docs lists every address",
        405: f"{request.method} is not possible on {request.url.path}; /docs lists what is",
        413: "the body is larger than HAMTUNE_MAX_REQUEST_BYTES allows",
    }
    detail = details.get(error.status_code, str(error.detail))
    headers = dict(error.headers) if error.headers else None
    return problem(error.status_code, detail, request.url.path, headers=headers)


def _unprocessable(request: Request, errors: list[FieldProblem]) -> Response:
    detail = "; ".join(
        f"{found.field}={found.value!r} is not allowed; {found.allowed}" for found in errors
    )
    return problem(422, detail, request.url.path, errors)


def _translate(request: Request, error: dict[str, Any]) -> FieldProblem:
    """Return the field problem of one error that pydantic has found in a request."""
    part, *path = error["loc"]
    if error["type"] == "json_invalid":
        return field_problem("body", None, f"it must be JSON, but {error['ctx']['error']}")
    field = ".".join(map(str, path)) or str(part)
    if error["type"] == "missing":
        return field_problem(field, None, "it is required")
    if error["type"] == "extra_forbidden":
        return field_problem(
            field, error["input"], unknown_field(request.scope.get("route"), part, path)
        )
    rule = error["msg"].replace("Input should", "it should", 1)
    return field_problem(field, error["input"], rule)
