"""The catalog page: everything that a request can name, plug-ins included."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from ham.catalog import (
    DATASETS,
    MODELS,
    OPTIMIZERS,
    SPARSIFIERS,
    DatasetSpec,
    ModelSpec,
    OptimizerSpec,
    SparsifierSpec,
)
from ham.registry import Plugin
from search_spaces import plugins, space_for, tunable_sparsifiers
from service.web.templating import page_response

router = APIRouter()


@dataclass(frozen=True)
class CatalogPage:
    """Everything that can be named, and the search space by sparsifier, where there is one."""

    sparsifiers: list[SparsifierSpec]
    models: list[ModelSpec]
    datasets: list[DatasetSpec]
    optimizers: list[OptimizerSpec]
    spaces: dict[str, str]
    plugins: list[Plugin]


@router.get("/catalogue")
def show_catalog(request: Request) -> Response:
    """Show what can be named in a study, and which plug-ins are broken."""
    return page_response(request, "catalog.html", page=catalog_page())


def catalog_page() -> CatalogPage:
    """Read the registries."""
    return CatalogPage(
        sparsifiers=SPARSIFIERS.list(),
        models=MODELS.list(),
        datasets=DATASETS.list(),
        optimizers=OPTIMIZERS.list(),
        spaces={name: space_for(name).id for name in tunable_sparsifiers()},
        plugins=plugins(),
    )
