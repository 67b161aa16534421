"""What sparsity a model really has, counted on its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class LayerSparsity:
    """One layer's counts.

    Attributes:
        name: the weight's name in the model's ``state_dict``.
        size: its number of weights.
        kept: how many the sparsifier lets train.
        nonzeros: how many differ from zero now; at most ``kept``, less where a kept weight is
            still at the zero from which it was grown.
    """

    name: str
    size: int
    kept: int
    nonzeros: int

    @property
    def sparsity(self) -> float:
        """Fraction of zeros, in [0, 1]."""
        return 1 - self.nonzeros / self.size


@dataclass(frozen=True)
class SparsityReport:
    """Target and realised sparsity over all prunable weights.

    Attributes:
        target: the fraction of zeros that was asked for, in [0, 1).
        layers: counts per prunable weight, in the order of the model.
        emerged: the fraction of zeros that a method had reached by itself when its masks were
            fixed to the target; None where sparsity does not emerge, or before that point.
    """

    target: float
    layers: tuple[LayerSparsity, ...]
    emerged: float | None = None

    @property
    def prunable(self) -> int:
        """Number of prunable weights."""
        return sum(layer.size for layer in self.layers)

    @property
    def kept(self) -> int:
        """Number of prunable weights that the sparsifier lets train."""
        return sum(layer.kept for layer in self.layers)

    @property
    def nonzeros(self) -> int:
        """Number of prunable weights that differ from zero."""
        return sum(layer.nonzeros for layer in self.layers)

    @property
    def realised(self) -> float:
        """Fraction of zeros among the prunable weights, in [0, 1]."""
        return 1 - self.nonzeros / self.prunable

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries and numbers, the totals included."""
        return {
            "target": self.target,
            "realised": self.realised,
            "emerged": self.emerged,
            "nonzeros": self.nonzeros,
            "kept": self.kept,
            "prunable": self.prunable,
            "layers": [asdict(layer) | {"sparsity": layer.sparsity} for layer in self.layers],
        }


def measure_sparsity(
    target: float,
    weights: Mapping[str, Tensor],
    kept: Mapping[str, int],
    emerged: float | None = None,
) -> SparsityReport:
    """Count the zeros of named weights; ``kept`` holds what the sparsifier lets train."""
    layers = (
        LayerSparsity(name, weight.numel(), kept[name], int(weight.count_nonzero()))
        for name, weight in weights.items()
    )
    return SparsityReport(target, tuple(layers), emerged)
