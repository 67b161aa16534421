"""The OpenAPI document: what FastAPI derives, made more exact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from ham.names import DATASETS, MODELS, OPTIMIZERS, SPARSIFIERS
from search_spaces import recipes
from service.api.problems import MEDIA_TYPE


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
        for operation in _operations(document):
            _type_errors(operation)
            _offer_names(operation)
        _offer_names_in_requests(document["components"]["schemas"]["StudyRequest"])
        app.openapi_schema = document
    return app.openapi_schema


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


def _type_errors(operation: dict[str, Any]) -> None:
    """Say that errors are problem+json."""
    for status, response in operation["responses"].items():
        if status >= "400":
            response["content"] = {MEDIA_TYPE: response["content"]["application/json"]}


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
