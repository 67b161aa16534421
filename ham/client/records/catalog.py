"""The catalog as the API answers it: everything that a request can name.

The fields are those of the specs in :mod:`ham.specs`; a test holds them equal.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from ham.config import Recipe, Schedule
from search_spaces import LogRange


class CatalogEntry(BaseModel):
    """Something that can be named in a request."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    title: str
    description: str
    reference: str = Field(description="Paper and link; empty where there is none.")


class ModelView(CatalogEntry):
    """An architecture."""

    input_shape: tuple[int | None, int | None, int | None] = Field(
        description="(channels, height, width) it takes; null where any size will do."
    )
    gpus: float = Field(
        description="GPUs that one training uses: a share below 1 if several trainings fit on one "
        "GPU."
    )


class DatasetView(CatalogEntry):
    """A dataset."""

    shape: tuple[int, int, int] = Field(description="(channels, height, width) of an image.")
    classes: int
    sizes: tuple[int, int, int] = Field(description="Images in (train, validation, test).")
    available: bool = Field(
        description="Whether the machine that answers has the data; workers look for it there too."
    )
    how_to_get: str
    folder: str | None = Field(
        description="Folder of the data under `HAM_DATA_DIR`; null if a Python package has it."
    )


class OptimizerView(CatalogEntry):
    """A base optimizer, which HAM wraps."""


class SparsifierView(CatalogEntry):
    """A method that makes networks sparse."""

    family: str
    takes_sparsity: bool = Field(description="False: its sparsity is always 0.")
    needs_dense_gradient: bool
    prune_fraction: float | None = Field(
        description="Share of the remaining weights that is pruned between the full-length "
        "trainings of a run; null where a run is one training."
    )
    target_reached_at: float = Field(
        description="Share of a training, 0 to 1, from which on the network keeps its target "
        "sparsity; the largest over the presets."
    )
    takes_ham: bool = Field(description="False: HAM has no meaning beside it; studies refuse it.")
    leaves_dense: str = Field(
        description="Which layers its authors leave dense, and under which options; empty: none."
    )
    search_space: str | None = Field(
        description="The space file of its own package, as `package:file`; null for the space of "
        "its family."
    )


class PluginView(BaseModel):
    """What another installed package offers."""

    model_config = ConfigDict(from_attributes=True)

    group: str = Field(description="Entry-point group, for example `ham.sparsifiers`.")
    name: str
    package: str = Field(description="Name and version.")
    error: str | None = Field(description="Why it cannot be used; null where it can.")


class RecipeView(BaseModel):
    """Everything of a training that is not the combination, the setting or the seed."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Name and version; raised whenever anything in it changes.")
    title: str
    dataset: str
    default: bool = Field(description="True: a request for this dataset may leave it out.")
    recipe: Recipe


class SpaceView(BaseModel):
    """Ranges that studies search, on logarithmic axes."""

    id: str
    applies_to: list[str] = Field(description="The sparsifiers whose studies search it.")
    datasets: list[str] = Field(description="On which datasets they do.")
    alpha: LogRange
    beta: LogRange
    learning_rate: LogRange | None = Field(
        description="Multiples of the recipe's that a study may tune as well; null: it may not."
    )
    weight_decay: LogRange | None = Field(description="The same of the weight decay.")
    schedules: list[Schedule] = Field(
        description="How alpha and beta may go to 0 over a training; a study chooses one, or "
        "tunes them."
    )
