"""The sparsity report: counts of kept and nonzero weights, per layer and overall."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from ham.results import MeasuredLayer, MeasuredSparsity


@dataclass(frozen=True)
class LayerSparsity:
    """The counts of one layer.

    Attributes:
        name: name of the weight in the model's ``state_dict``.
        size: number of weights.
        kept: number of weights that the mask keeps.
        nonzeros: number of weights that differ from zero now, at most ``kept``. It is less than
            ``kept`` if a grown weight is still at its initial zero.
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
        target: requested fraction of zeros, in [0, 1).
        layers: counts per prunable weight, in the order of the model.
        emerged: fraction of zeros in [0, 1] that a method had reached by itself when its masks
            were frozen at the target; None before that, and for methods without mask freezing.
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
        """Number of prunable weights that the masks keep."""
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
        """Return the report and its totals as plain dictionaries and numbers."""
        measured = MeasuredSparsity(
            target=self.target,
            realised=self.realised,
            emerged=self.emerged,
            nonzeros=self.nonzeros,
            kept=self.kept,
            prunable=self.prunable,
            layers=tuple(
                MeasuredLayer(**vars(layer), sparsity=layer.sparsity) for layer in self.layers
            ),
        )
        return asdict(measured) | {"layers": [asdict(layer) for layer in measured.layers]}


def measure_sparsity(
    target: float,
    weights: Mapping[str, Tensor],
    kept: Mapping[str, int],
    emerged: float | None = None,
) -> SparsityReport:
    """Count the zeros of named weights.

    Args:
        target: requested fraction of zeros, in [0, 1).
        weights: prunable weights by name.
        kept: number of kept weights by name.
        emerged: see :class:`SparsityReport`.
    """
    layers = (
        LayerSparsity(name, weight.numel(), kept[name], int(weight.count_nonzero()))
        for name, weight in weights.items()
    )
    return SparsityReport(target, tuple(layers), emerged)
