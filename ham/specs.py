"""What the catalogue says of a model, a dataset, a base optimizer and a sparsifier.

The rows themselves are in :mod:`ham.catalog`.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ham.errors import InvalidConfig
from ham.registry import Row

DATA_VARIABLE = "HAM_DATA_DIR"


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Row):
    """A classification dataset.

    Attributes:
        shape: (channels, height, width) of one image.
        classes: number of classes.
        sizes: images in (train, validation, test).
        how_to_get: what a user does to have the data.
        folder: where it is looked for under ``HAM_DATA_DIR``; None where a package brings it.
    """

    shape: tuple[int, int, int]
    classes: int
    sizes: tuple[int, int, int]
    how_to_get: str
    folder: str | None = None

    @property
    def available(self) -> bool:
        """Whether this machine has the data."""
        return self.folder is None or (data_root() / self.folder).exists()


def data_root() -> Path:
    """Return the folder named by ``HAM_DATA_DIR``, or ``~/.cache/ham``."""
    return Path(os.environ.get(DATA_VARIABLE) or Path.home() / ".cache" / "ham")


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Row):
    """An architecture.

    Attributes:
        input_shape: (channels, height, width) that it takes; None where any size will do.
        gpus: what a training fills: a share of one GPU, so that several fit on it; a whole one, 1;
            or several, each of which takes its share of every batch
            (:mod:`ham.training.data_parallel`). The shares of the small models are presumed, not
            measured.
    """

    input_shape: tuple[int | None, int | None, int | None]
    gpus: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.gpus <= 1 or self.gpus == int(self.gpus) > 1):
            raise InvalidConfig("gpus", self.gpus, "it must be in [0, 1], or a whole number")

    def accepts(self, dataset: DatasetSpec) -> bool:
        """Tell whether images of this dataset fit the first layer."""
        pairs = zip(self.input_shape, dataset.shape, strict=True)
        return all(wanted in (None, given) for wanted, given in pairs)


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec(Row):
    """A base optimizer, to be wrapped by HAM."""


@dataclass(frozen=True, kw_only=True)
class SparsifierSpec(Row):
    """A method that makes a network sparse.

    Attributes:
        family: where in training the sparsity comes from.
        takes_sparsity: False for ``dense``, whose sparsity is always 0.
        needs_dense_gradient: True where gradients of dropped weights are read.
        prune_fraction: share of the remaining weights that is pruned between two full-length
            trainings, in (0, 1); None where a run is one training.
        settled: share of a training after which the network has its target sparsity for good,
            in [0, 1], the latest over its presets.
        takes_ham: False where HAM has no meaning: the method trains factors of the weights, and
            HAM is itself the step of such factors.
        leaves_dense: which layers its authors leave dense, and under which options; in words,
            empty where they prune all. The method does so unless ``dense_layers`` says otherwise.
        search_space: ``"package:file.toml"`` of a space file that the method's package brings;
            None for the space of its family. See :mod:`search_spaces`.
    """

    family: Literal["dense", "at initialization", "dense to sparse", "dynamic", "continuous"]
    takes_sparsity: bool = True
    needs_dense_gradient: bool = False
    prune_fraction: float | None = None
    settled: float = 0.0
    takes_ham: bool = True
    leaves_dense: str = ""
    search_space: str | None = None

    def trainings(self, sparsity: float) -> int:
        """Return how many full-length trainings one run takes, >= 1."""
        if self.prune_fraction is None:
            return 1
        return 1 + prunings(sparsity, self.prune_fraction)

    def sparse_from(self, sparsity: float) -> float:
        """Return from which share of a run on the target sparsity is held for good, in [0, 1].

        Accuracies before that are of another, denser network.
        """
        trainings = self.trainings(sparsity)
        return (trainings - 1 + self.settled) / trainings


def prunings(sparsity: float, fraction: float) -> int:
    """Return how often a fraction of the rest must be pruned to reach a sparsity.

    >>> [prunings(sparsity, 0.2) for sparsity in (0.0, 0.2, 0.5, 0.9)]
    [0, 1, 4, 11]
    """
    round_off = 1e-9
    return max(0, math.ceil(math.log(1 - sparsity) / math.log(1 - fraction) - round_off))
