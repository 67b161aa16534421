"""The OpenAPI document: FastAPI's own, with security, errors, examples and known names."""

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
"""Example answers by operation id; ``python -m tests.service.api.examples`` writes them."""


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the document; it is made once per application."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        _add_gate(document, app.state.settings.keys_required)
        examples = json.loads(EXAMPLES.read_text(encoding="utf-8"))
        for operation in _operations(document):
            _set_error_type(operation)
            _add_example(operation, examples.get(operation["operationId"]))
            _add_names(operation)
        _add_names_to_request(document["components"]["schemas"]["StudyRequest"])
        app.openapi_schema = document
    return app.openapi_schema


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


def _add_gate(document: dict[str, Any], keys_required: bool) -> None:
    """Add the answers of the gate, and the API key in the Authorization header."""
    document["components"]["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key. `read` keys may read, `submit` keys may also submit, "
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


def _set_error_type(operation: dict[str, Any]) -> None:
    """Give errors the media type problem+json."""
    for status, response in operation["responses"].items():
        if status >= "400":
            (content,) = response["content"].values()
            response["content"] = {MEDIA_TYPE: content}


def _add_example(operation: dict[str, Any], example: Any) -> None:
    """Add the example of an operation to its success."""
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


def _add_names(operation: dict[str, Any]) -> None:
    """List the registered names as allowed values, so that forms offer them."""
    for parameter in operation.get("parameters", []):
        if parameter["name"] in _names():
            parameter["schema"] = {"type": "string", "enum": _names()[parameter["name"]]}


def _add_names_to_request(request: dict[str, Any]) -> None:
    for field, names in _names().items():
        request["properties"][field]["enum"] = names
    request["properties"]["recipe"]["anyOf"] = [
        {"type": "string", "enum": list(recipes())},
        {"type": "null"},
    ]
