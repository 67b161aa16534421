"""The spec classes of models, datasets, base optimizers and sparsifiers.

The specs themselves are in :mod:`ham.catalog`.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ham.errors import InvalidConfig
from ham.registry import Spec

DATA_VARIABLE = "HAM_DATA_DIR"


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Spec):
    """A classification dataset.

    Attributes:
        shape: (channels, height, width) of one image.
        classes: number of classes.
        sizes: images in (train, validation, test).
        how_to_get: how a user obtains the data.
        folder: the data's folder under ``HAM_DATA_DIR``; None if a Python package has the data.
    """

    shape: tuple[int, int, int]
    classes: int
    sizes: tuple[int, int, int]
    how_to_get: str
    folder: str | None = None

    @property
    def available(self) -> bool:
        """True if this machine has the data."""
        return self.folder is None or (data_root() / self.folder).exists()


def data_root() -> Path:
    """Return the folder named by ``HAM_DATA_DIR``, or ``~/.cache/ham``."""
    return Path(os.environ.get(DATA_VARIABLE) or Path.home() / ".cache" / "ham")


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Spec):
    """An architecture.

    Attributes:
        input_shape: (channels, height, width) of the images; None for a size that is free.
        gpus: GPUs that one training uses: a share in [0, 1) if several trainings fit on one GPU;
            1; or a whole number > 1, in which case each GPU takes a share of every batch
            (:mod:`ham.training.data_parallel`). The shares of the small models are assumed, not
            measured.

    Raises:
        InvalidConfig: ``gpus`` is neither in [0, 1] nor a whole number.
    """

    input_shape: tuple[int | None, int | None, int | None]
    gpus: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.gpus <= 1 or self.gpus == int(self.gpus) > 1):
            raise InvalidConfig("gpus", self.gpus, "it must be in [0, 1], or a whole number")

    def accepts(self, dataset: DatasetSpec) -> bool:
        """Return True if the model takes images of this dataset's shape."""
        pairs = zip(self.input_shape, dataset.shape, strict=True)
        return all(expected in (None, actual) for expected, actual in pairs)


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec(Spec):
    """A base optimizer that HAM can wrap."""


@dataclass(frozen=True, kw_only=True)
class SparsifierSpec(Spec):
    """A method that makes a network sparse.

    Attributes:
        family: the phase of training in which the network becomes sparse.
        takes_sparsity: False for ``dense``, whose sparsity is always 0.
        needs_dense_gradient: True if the method reads gradients of dropped weights.
        prune_fraction: share of the remaining weights that is pruned between two full-length
            trainings, in (0, 1); None if a run is one training.
        target_reached_at: share of a training, in [0, 1], from which on the network keeps its
            target sparsity; the largest value over the presets.
        takes_ham: False if the method trains factors of the weights. HAM has no meaning there,
            since HAM is itself the step of such factors.
        leaves_dense: the layers that the authors leave dense, and under which options, in words;
            empty if they prune every layer. ``dense_layers`` overrides this default.
        search_space: ``"package:file.toml"`` of a space file in the method's own package; None
            for the space of its family. See :mod:`search_spaces`.
    """

    family: Literal["dense", "at initialization", "dense to sparse", "dynamic", "continuous"]
    takes_sparsity: bool = True
    needs_dense_gradient: bool = False
    prune_fraction: float | None = None
    target_reached_at: float = 0.0
    takes_ham: bool = True
    leaves_dense: str = ""
    search_space: str | None = None

    def trainings(self, sparsity: float) -> int:
        """Return how many full-length trainings one run takes, >= 1."""
        if self.prune_fraction is None:
            return 1
        return 1 + prunings(sparsity, self.prune_fraction)

    def sparse_from(self, sparsity: float) -> float:
        """Return the share of a run after which the network keeps its target sparsity, in [0, 1].

        Accuracies before that point are those of a denser network.
        """
        trainings = self.trainings(sparsity)
        return (trainings - 1 + self.target_reached_at) / trainings


def prunings(sparsity: float, fraction: float) -> int:
    """Return how many prunings of a fraction of the remaining weights reach a sparsity.

    Args:
        sparsity: target, in [0, 1).
        fraction: share of the remaining weights that one pruning removes, in (0, 1).

    Examples:
        >>> [prunings(sparsity, 0.2) for sparsity in (0.0, 0.2, 0.5, 0.9)]
        [0, 1, 4, 11]
    """
    round_off = 1e-9
    return max(0, math.ceil(math.log(1 - sparsity) / math.log(1 - fraction) - round_off))
