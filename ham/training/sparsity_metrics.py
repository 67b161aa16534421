"""Metrics of sparse training beside accuracy: operations, exploration, sign flips, dead units."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ham.results import RunMeasures
from ham.sparsifiers.common import Sparsifier
from ham.sparsifiers.common.prunable import prunable_layers
from ham.training.flops import inference_flops, training_flops, uses_per_example


class SparsityMetrics:
    """Counts operations and changes of the weights during a training.

    The count costs a few additions per step.

    Args:
        model: the model, with its sparsifier attached.
        sparsifier: the sparsifier, which knows the weights that train in each step.
        example: one input of shape (1, channels, height, width); it shows how often one example
            uses each weight.

    Attributes:
        training_flops: operations of all steps so far.
        examples: training examples of all steps so far.
    """

    def __init__(self, model: nn.Module, sparsifier: Sparsifier, example: Tensor) -> None:
        self._model = model
        self._sparsifier = sparsifier
        self._uses = uses_per_example(model, example)
        self._sizes = {layer.name: layer.size for layer in sparsifier.report().layers}
        self.training_flops = 0
        self.examples = 0
        self.start_epoch()

    def start_epoch(self) -> None:
        """Store the signs of the weights, from which :meth:`changes` is computed."""
        self._signs = signs(self._model)

    def count_step(self, step: int, batch_size: int) -> None:
        """Count the operations of one step, before the optimizer takes it.

        Args:
            step: number of the step, from 1.
            batch_size: examples of the step on all devices together.
        """
        self.examples += batch_size
        self.training_flops += batch_size * training_flops(
            self._sparsifier.kept(),
            self._sizes,
            self._uses,
            dense_gradient=self._sparsifier.reads_dense_gradient(step),
        )

    def changes(self) -> tuple[float, float]:
        """Return sign flips and mask churn since :meth:`start_epoch`, both in [0, 1]."""
        after = signs(self._model)
        return sign_flips(self._signs, after), mask_churn(self._signs, after)

    def measure(self) -> RunMeasures:
        """Measure the finished model."""
        nonzeros = {layer.name: layer.nonzeros for layer in self._sparsifier.report().layers}
        dense_step = training_flops(self._sizes, self._sizes, self._uses, dense_gradient=True)
        return RunMeasures(
            inference_flops=inference_flops(nonzeros, self._uses),
            dense_inference_flops=inference_flops(self._sizes, self._uses),
            training_flops=self.training_flops,
            dense_training_flops=self.examples * dense_step,
            explored=self._sparsifier.explored(),
            dead_units=dead_units(self._model),
        )


def signs(model: nn.Module) -> dict[str, Tensor]:
    """Return the signs of all prunable weights by name, as int8: -1, 0 or 1."""
    return {
        name: layer.weight.detach().sign().to(torch.int8)
        for name, layer in prunable_layers(model).items()
    }


def sign_flips(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> float:
    """Return the share of weights, nonzero before and after, whose sign changed; in [0, 1]."""
    products = [before[name] * after[name] for name in before]
    both = sum(int(product.count_nonzero()) for product in products)
    return sum(int((product < 0).sum()) for product in products) / max(both, 1)


def mask_churn(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> float:
    """Return the share of the weights nonzero after that were zero before; in [0, 1]."""
    grown = sum(int(((before[name] == 0) & (after[name] != 0)).sum()) for name in before)
    return grown / max(sum(int(value.count_nonzero()) for value in after.values()), 1)


def dead_units(model: nn.Module) -> int:
    """Return the number of output units of prunable layers without a nonzero incoming weight."""
    return sum(
        int((layer.weight.detach().flatten(1) == 0).all(dim=1).sum())
        for layer in prunable_layers(model).values()
    )
