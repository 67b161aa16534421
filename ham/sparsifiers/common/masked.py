"""The base class of every method that masks weights."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ham.errors import UnknownName
from ham.sparsifiers.common.allocation import allocate
from ham.sparsifiers.common.masks import MaskSet
from ham.sparsifiers.common.optimizer_state import zero_optimizer_state
from ham.sparsifiers.common.protocol import BaseSparsifier, Batch, Loss, ParamGroup
from ham.sparsifiers.common.prunable import prunable_weights
from ham.sparsifiers.common.report import SparsityReport, measure_sparsity
from ham.sparsifiers.common.topk import kept_count, largest_overall, random_subset

_SHORTCUTS = {"downsample", "shortcut"}


class MaskedSparsifier(BaseSparsifier):
    """Hold dropped weights at zero through every step; a method adds when and how masks change.

    The order of one step (masking and HAM commute, since HAM maps zero to zero)::

        gradient -> [method reads it] -> gradient * mask -> base step -> HAM -> weight * mask

    Args:
        sparsity, total_steps, steps_per_epoch, seed: see
            :class:`~ham.sparsifiers.common.BaseSparsifier`.
        dense_layers: prunable weights that stay dense, by role or by name. The roles are
            ``first``, ``last`` and ``shortcuts`` (layers in modules called ``downsample`` or
            ``shortcut``); a name is, for example, ``conv1.weight``. Dense layers still count in
            the report. The default is the choice of the method's authors under the given
            options, see :meth:`published_dense_layers`.
    """

    def __init__(
        self,
        sparsity: float,
        *,
        total_steps: int,
        steps_per_epoch: int = 1,
        seed: int = 0,
        dense_layers: Collection[str] | None = None,
    ) -> None:
        super().__init__(
            sparsity, total_steps=total_steps, steps_per_epoch=steps_per_epoch, seed=seed
        )
        self.dense_layers = None if dense_layers is None else tuple(dense_layers)

    def attach(
        self, model: nn.Module, batches: Iterable[Batch] = (), loss: Loss = cross_entropy
    ) -> list[ParamGroup]:
        """Choose the first masks and apply them; see :meth:`.Sparsifier.attach`."""
        self.masks = MaskSet(prunable_weights(model))
        dense = self.published_dense_layers() if self.dense_layers is None else self.dense_layers
        self._dense_names = _named(dense, list(self.masks))
        self.choose_masks(model, batches, loss)
        self.masks.apply_()
        self.masks.start_exploration()
        return [{"params": list(model.parameters())}]

    def published_dense_layers(self) -> tuple[str, ...]:
        """Return the layers that the authors leave dense under the given options, none here."""
        return ()

    def choose_masks(self, model: nn.Module, batches: Iterable[Batch], loss: Loss) -> None:
        """Set the initial masks; every weight is kept unless a method overrides this."""

    def before_step(self, step: int) -> None:
        """Mask the gradients."""
        self.masks.apply_to_gradients_()

    def after_step(self, step: int) -> None:
        """Mask the weights, since momentum or decay may have moved dropped ones."""
        self.masks.apply_()

    def finalize(self) -> None:
        """Mask the weights once more; the model's weights are plain tensors already."""
        self.masks.apply_()

    def kept(self) -> dict[str, int]:
        """Return the number of kept weights of each layer."""
        return self.masks.kept()

    def explored(self) -> float:
        """Return the share of weights that have been kept at any time, in [0, 1]."""
        return self.masks.explored()

    def report(self) -> SparsityReport:
        """Return the target sparsity and the present counts."""
        return measure_sparsity(self.sparsity, self.masks.weights, self.masks.kept())

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the base class and the masks, one bit per weight."""
        return super().state_dict() | {"masks": self.masks.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned, and apply the masks."""
        super().load_state_dict(state)
        self.masks.load_state_dict(state["masks"])
        self.masks.apply_()

    @property
    def pruned_weights(self) -> dict[str, Tensor]:
        """The prunable weights without ``dense_layers``, by name."""
        return {n: w for n, w in self.masks.weights.items() if n not in self._dense_names}

    def keep_highest(self, scores: Mapping[str, Tensor], sparsity: float) -> None:
        """Set masks that keep the highest scores over all layers together.

        Args:
            scores: per weight, by name.
            sparsity: fraction of the scored weights that is dropped, in [0, 1).
        """
        size = sum(score.numel() for score in scores.values())
        for name, mask in largest_overall(scores, kept_count(size, sparsity)).items():
            self.masks.set(name, mask)

    def magnitudes(self) -> dict[str, Tensor]:
        """Return the magnitudes of the pruned weights; dropped ones have -1 and rank last."""
        return {
            name: weight.detach().abs().masked_fill(~self.masks[name], -1.0)
            for name, weight in self.pruned_weights.items()
        }

    def draw_random_masks(self, allocation: str) -> None:
        """Draw uniformly random masks with the densities of a named allocation.

        Raises:
            UnknownName: no allocation has this name.
        """
        shapes = {name: tuple(weight.shape) for name, weight in self.masks.weights.items()}
        densities = allocate(allocation, shapes, self.sparsity, self._dense_names)
        for name, weight in self.masks.weights.items():
            count = kept_count(weight.numel(), 1 - densities[name])
            everywhere = weight.new_ones(weight.shape).bool()
            self.masks.set(name, random_subset(everywhere, count, self.generator))

    def reset_weights(self, name: str, where: Tensor) -> None:
        """Zero a weight and its optimizer state where a boolean mask is True."""
        weight = self.masks.weights[name]
        weight.data.masked_fill_(where, 0)
        zero_optimizer_state(self.optimizer, weight, where)


def _named(dense_layers: Collection[str], weights: list[str]) -> frozenset[str]:
    """Return the names of the weights that roles and names stand for."""
    roles = {
        "first": weights[:1],
        "last": weights[-1:],
        "shortcuts": [name for name in weights if _SHORTCUTS & set(name.split("."))],
    }
    for layer in dense_layers:
        if layer not in roles and layer not in weights:
            raise UnknownName("dense_layers", layer, [*roles, *weights])
    return frozenset(name for layer in dense_layers for name in roles.get(layer, [layer]))
