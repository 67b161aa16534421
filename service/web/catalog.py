"""What the catalogue page shows: the registries, plug-ins included."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Catalogue:
    """Everything that can be named, and the search space by sparsifier, where there is one."""

    sparsifiers: list[SparsifierSpec]
    models: list[ModelSpec]
    datasets: list[DatasetSpec]
    optimizers: list[OptimizerSpec]
    spaces: dict[str, str]
    plugins: list[Plugin]


def catalogue() -> Catalogue:
    """Read the registries."""
    return Catalogue(
        sparsifiers=SPARSIFIERS.list(),
        models=MODELS.list(),
        datasets=DATASETS.list(),
        optimizers=OPTIMIZERS.list(),
        spaces={name: space_for(name).id for name in tunable_sparsifiers()},
        plugins=plugins(),
    )
