"""The catalog as the API answers it: everything that a request can name.

The fields are those of the specs in :mod:`ham.specs`; a test holds them equal.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from ham.config import Recipe, Schedule
from search_spaces import LogRange


class CatalogEntry(BaseModel):
    """An entry of the catalog."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    title: str
    description: str
    reference: str = Field(description="Paper and link; empty if there is none.")


class ModelView(CatalogEntry):
    """An architecture."""

    input_shape: tuple[int | None, int | None, int | None] = Field(
        description="Input shape (channels, height, width); null where any size works."
    )
    gpus: float = Field(
        description="GPUs that one training uses: a share below 1 if several trainings fit on one "
        "GPU."
    )


class DatasetView(CatalogEntry):
    """A dataset."""

    shape: tuple[int, int, int] = Field(
        description="Shape of an image: (channels, height, width)."
    )
    classes: int
    sizes: tuple[int, int, int] = Field(
        description="Number of images in (train, validation, test)."
    )
    available: bool = Field(
        description="Whether the machine that answers has the data. Workers look for it on their "
        "own machine."
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
    takes_sparsity: bool = Field(description="False if its sparsity is always 0.")
    needs_dense_gradient: bool
    prune_fraction: float | None = Field(
        description="Share of the remaining weights that is pruned between the full-length "
        "trainings of a run; null if a run is one training."
    )
    target_reached_at: float = Field(
        description="Share of a training, 0 to 1, from which on the network keeps its target "
        "sparsity; the largest over the presets."
    )
    takes_ham: bool = Field(
        description="False if it cannot be combined with HAM; studies refuse it."
    )
    leaves_dense: str = Field(
        description="Layers that its authors leave dense, and the options for that; empty if "
        "there are none."
    )
    search_space: str | None = Field(
        description="The space file of its own package, as `package:file`; null for the space of "
        "its family."
    )


class PluginView(BaseModel):
    """A plug-in from another installed package."""

    model_config = ConfigDict(from_attributes=True)

    group: str = Field(description="Entry-point group, for example `ham.sparsifiers`.")
    name: str
    package: str = Field(description="Name and version of the package.")
    error: str | None = Field(description="Why it cannot be used; null if it can.")


class RecipeView(BaseModel):
    """A recipe: everything of a training but the combination, the configuration and the seed."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(
        description="Name and version. The version rises with every change of the recipe."
    )
    title: str
    dataset: str
    default: bool = Field(
        description="Whether a request for this dataset may leave the recipe out."
    )
    recipe: Recipe


class SpaceView(BaseModel):
    """A search space: ranges on logarithmic axes."""

    id: str
    applies_to: list[str] = Field(description="Sparsifiers whose studies search this space.")
    datasets: list[str] = Field(description="Datasets whose studies search this space.")
    alpha: LogRange
    beta: LogRange
    learning_rate: LogRange | None = Field(
        description="Multiples of the recipe's learning rate that a study may tune; null if it "
        "may not tune it."
    )
    weight_decay: LogRange | None = Field(
        description="Multiples of the recipe's weight decay that a study may tune; null if it "
        "may not tune it."
    )
    schedules: list[Schedule] = Field(
        description="Schedules of alpha and beta over a training that a study may use or tune."
    )
