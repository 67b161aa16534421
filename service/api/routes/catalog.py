"""The catalog: the names that a request can use."""

from __future__ import annotations

import itertools
from typing import Any

from fastapi import APIRouter

from ham.catalog import DATASETS, MODELS, OPTIMIZERS, SPARSIFIERS
from ham.client.records import (
    DatasetView,
    ModelView,
    OptimizerView,
    Page,
    PluginView,
    RecipeView,
    SpaceView,
    SparsifierView,
)
from search_spaces import SearchSpace, plugins, recipes, space_for, tunable_sparsifiers

router = APIRouter(prefix="/v1", tags=["catalogue"])


@router.get("/models", summary="List models", response_model=Page[ModelView])
def list_models() -> Any:
    """Return the architectures that studies can train."""
    return {"items": MODELS.list()}


@router.get("/datasets", summary="List datasets", response_model=Page[DatasetView])
def list_datasets() -> Any:
    """Return the datasets, with their sizes and how to obtain them."""
    return {"items": DATASETS.list()}


@router.get("/sparsifiers", summary="List sparsifiers", response_model=Page[SparsifierView])
def list_sparsifiers() -> Any:
    """Return the methods that make networks sparse."""
    return {"items": SPARSIFIERS.list()}


@router.get("/optimizers", summary="List base optimizers", response_model=Page[OptimizerView])
def list_optimizers() -> Any:
    """Return the optimizers that HAM can wrap."""
    return {"items": OPTIMIZERS.list()}


@router.get("/recipes", summary="List training recipes")
def list_recipes() -> Page[RecipeView]:
    """Return the training recipes: epochs, batch size, learning rate and more, with versions."""
    return Page(
        items=[
            RecipeView(
                id=id,
                title=named_recipe.title,
                dataset=named_recipe.dataset,
                default=named_recipe.default,
                recipe=named_recipe.recipe,
            )
            for id, named_recipe in recipes().items()
        ]
    )


@router.get("/search-spaces", summary="List search spaces")
def list_search_spaces() -> Page[SpaceView]:
    """Return the search spaces, and the sparsifiers and datasets that each applies to."""
    users: dict[SearchSpace, tuple[list[str], list[str]]] = {}
    for dataset, name in itertools.product(DATASETS.names(), tunable_sparsifiers()):
        sparsifiers, datasets = users.setdefault(space_for(name, dataset=dataset), ([], []))
        sparsifiers.append(name)
        datasets.append(dataset)
    return Page(
        items=[
            SpaceView(
                id=space.id,
                applies_to=list(dict.fromkeys(sparsifiers)),
                datasets=list(dict.fromkeys(datasets)),
                alpha=space.alpha,
                beta=space.beta,
                learning_rate=space.learning_rate,
                weight_decay=space.weight_decay,
                schedules=list(space.schedules),
            )
            for space, (sparsifiers, datasets) in users.items()
        ]
    )


@router.get("/plugins", summary="List plug-ins", response_model=Page[PluginView])
def list_plugins() -> Any:
    """Return the plug-ins of other installed packages; a broken one has its error."""
    return {"items": plugins()}
