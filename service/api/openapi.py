"""The OpenAPI document: what FastAPI derives, made more exact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from ham.catalog import DATASETS, MODELS, OPTIMIZERS, SPARSIFIERS
from search_spaces import recipes
from service.api.errors.problems import MEDIA_TYPE, documented
from service.api.middleware.gate import PUBLIC

EXAMPLES = Path(__file__).parent / "examples.json"
"""An answer of every operation, by its id; ``tests/service/api/examples.py`` writes it."""


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the document, made once per application."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        _describe_gate(document, app.state.settings.keys_required)
        examples = json.loads(EXAMPLES.read_text(encoding="utf-8"))
        for operation in _operations(document):
            _type_errors(operation)
            _show(operation, examples.get(operation["operationId"]))
            _offer_names(operation)
        _offer_names_in_requests(document["components"]["schemas"]["StudyRequest"])
        app.openapi_schema = document
    return app.openapi_schema


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


def _describe_gate(document: dict[str, Any], keys_required: bool) -> None:
    """Say what the gate may answer, and that a key goes into the Authorization header."""
    document["components"]["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key. `read` keys may ask, `submit` keys may also submit, "
            "`admin` keys may do everything.",
        }
    }
    for path, methods in document["paths"].items():
        statuses = [400, 429] if path in PUBLIC else [400, 401, 403, 429, 503]
        for operation in methods.values():
            body = [413] if "requestBody" in operation else []
            for status in (*statuses, *body):
                operation["responses"].setdefault(str(status), _response(status))
            if keys_required and path not in PUBLIC:
                operation["security"] = [{"key": []}]


def _response(status: int) -> dict[str, Any]:
    described = documented(status)[status]["description"]
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": described, "content": {"application/json": {"schema": schema}}}


def _type_errors(operation: dict[str, Any]) -> None:
    """Say that errors are problem+json."""
    for status, response in operation["responses"].items():
        if status >= "400":
            (content,) = response["content"].values()
            response["content"] = {MEDIA_TYPE: content}


def _show(operation: dict[str, Any], example: Any) -> None:
    """Put the example of an operation beside the schema of its success."""
    if example is None:
        return
    for status, response in operation["responses"].items():
        if status < "300":
            next(iter(response["content"].values()))["example"] = example


def _names() -> dict[str, list[str]]:
    return {
        "model": MODELS.names(),
        "dataset": DATASETS.names(),
        "sparsifier": SPARSIFIERS.names(),
        "optimizer": OPTIMIZERS.names(),
    }


def _offer_names(operation: dict[str, Any]) -> None:
    """List the known names, so that forms made from the document offer them."""
    for parameter in operation.get("parameters", []):
        if parameter["name"] in _names():
            parameter["schema"] = {"type": "string", "enum": _names()[parameter["name"]]}


def _offer_names_in_requests(request: dict[str, Any]) -> None:
    for field, names in _names().items():
        request["properties"][field]["enum"] = names
    request["properties"]["recipe"]["anyOf"] = [
        {"type": "string", "enum": list(recipes())},
        {"type": "null"},
    ]
