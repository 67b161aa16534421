"""Hints for fields that an operation does not have: close matches, and the fields it does have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel

from ham.errors import UnknownName


def unknown_field(route: object, part: str, path: Sequence[str | int]) -> str:
    """Return the sentence about a field that the called operation does not have.

    Args:
        route: the route of the operation.
        part: part of the request that held the field: "body", "query" and so on.
        path: names and list positions that lead to the field; the last is its name.
    """
    models = _models_of(route, part) if isinstance(route, APIRoute) else ()
    for model in models:
        if (found := _model_at(model, path[:-1])) is not None:
            hint = UnknownName("field", str(path[-1]), found.model_fields).allowed
            return f"there is no such field; {hint}"
    return "there is no such field; /docs lists the fields of every operation"


def _models_of(route: APIRoute, part: str) -> Iterator[Any]:
    """Yield the types that a part of a request may have."""
    if part == "body" and route.body_field is not None:
        yield route.body_field.field_info.annotation
    if part == "query":
        for dependant in _with_dependencies(route.dependant):
            for parameter in dependant.query_params:
                yield parameter.field_info.annotation


def _with_dependencies(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for dependency in dependant.dependencies:
        yield from _with_dependencies(dependency)


def _model_at(annotation: Any, path: Sequence[str | int]) -> type[BaseModel] | None:
    """Return the pydantic model at the end of a path through a type; None if there is none."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _model_at(arguments[0], path)
    if origin in (Union, UnionType):
        found = (_model_at(argument, path) for argument in arguments)
        return next((model for model in found if model is not None), None)
    if origin in (list, tuple) and path and isinstance(path[0], int):
        return _model_at(arguments[0], path[1:])
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return None
    if not path:
        return annotation
    field = annotation.model_fields.get(str(path[0]))
    return None if field is None else _model_at(field.annotation, path[1:])
