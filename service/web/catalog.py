"""The catalog page: everything that a request can name, plug-ins included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request, Response

from ham.catalog import DATASETS, MODELS, OPTIMIZERS, SPARSIFIERS
from ham.client.records import (
    CatalogEntry,
    DatasetView,
    ModelView,
    OptimizerView,
    SparsifierView,
)
from ham.registry import Plugin
from search_spaces import plugins, space_for, tunable_sparsifiers
from service.formatting import NOTHING
from service.web.templating import page_response

router = APIRouter()

LABELS = {
    "gpus": "GPUs of one training",
    "input_shape": "images (channels, height, width)",
    "shape": "images (channels, height, width)",
    "sizes": "images (train, validation, test)",
    "available": "data on this machine",
    "how_to_get": "how to get it",
    "takes_sparsity": "takes a sparsity",
    "prune_fraction": "share pruned between trainings",
    "target_reached_at": "share of a training until the target sparsity",
    "takes_ham": "takes HAM",
}
"""Labels of facts; a fact without one is labelled by the name of its field."""


@dataclass(frozen=True)
class Section:
    """One part of the catalog.

    Attributes:
        spaces: ids of the search spaces by name of an entry; None where entries have none.
    """

    id: str
    title: str
    entries: list[CatalogEntry]
    spaces: dict[str, str] | None = None


@dataclass(frozen=True)
class CatalogPage:
    """Everything on the catalog page."""

    sections: list[Section]
    plugins: list[Plugin] = field(default_factory=list)


@router.get("/catalogue")
def show_catalog(request: Request) -> Response:
    """Show the names that a study can use, and the plug-ins."""
    return page_response(request, "catalog.html", page=catalog_page(), facts=facts)


def catalog_page() -> CatalogPage:
    """Read the registries."""
    spaces = {name: space_for(name).id for name in tunable_sparsifiers()}
    return CatalogPage(
        sections=[
            Section("sparsifiers", "Sparsifiers", _views(SparsifierView, SPARSIFIERS), spaces),
            Section("models", "Models", _views(ModelView, MODELS)),
            Section("datasets", "Datasets", _views(DatasetView, DATASETS)),
            Section("optimizers", "Base optimizers", _views(OptimizerView, OPTIMIZERS)),
        ],
        plugins=plugins(),
    )


def facts(entry: CatalogEntry) -> list[str]:
    """Return the facts of an entry as label and value, such as ``takes HAM: yes``.

    They are its fields beyond name, title, description and reference. Empty values are left out.
    """
    values = {
        name: getattr(entry, name)
        for name in type(entry).model_fields
        if name not in CatalogEntry.model_fields
    }
    return [
        f"{LABELS.get(name, name.replace('_', ' '))}: {_written(value)}"
        for name, value in values.items()
        if value not in (None, "")
    ]


def _views(view: type[CatalogEntry], specs: Iterable[Any]) -> list[CatalogEntry]:
    return [view.model_validate(spec) for spec in specs]


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " x ".join(map(_written, value))
    if isinstance(value, int):
        return f"{value:,}"
    return NOTHING if value is None else str(value)
