"""GraSP: pruning at initialization that preserves the gradient flow.

Reference: Wang, Zhang and Grosse, "Picking Winning Tickets Before Training by Preserving Gradient
Flow", ICLR 2020, https://arxiv.org/abs/2002.07376, Algorithm 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ham.errors import InvalidConfig
from ham.sparsifiers.common.masked import MaskedSparsifier
from ham.sparsifiers.common.protocol import Batch, Loss, Presets
from ham.sparsifiers.common.prunable import prunable_layers, prunable_weights
from ham.sparsifiers.common.scoring import examples_per_class, first_batch, scored_copy

TEMPERATURE = 200.0


class GraSP(MaskedSparsifier):
    """Remove the highest ``-weight * (Hessian @ gradient)``, over all layers together.

    Args:
        per_class: scored examples per class, >= 1. The authors use 10 on CIFAR and 1 on ImageNet.
        reinit_linear: True draws the linear layers anew for the scoring (Xavier normal), as the
            authors' code does. False scores the weights that are trained.
        **common: see :class:`~ham.sparsifiers.common.MaskedSparsifier`.

    Deviations: the masks keep exactly the target number of weights; the authors' threshold keeps
        one more.
    """

    presets: ClassVar[Presets] = {"imagenet": {"per_class": 1}, "cifar": {"per_class": 10}}

    def __init__(
        self, sparsity: float, *, per_class: int = 10, reinit_linear: bool = True, **common: Any
    ) -> None:
        super().__init__(sparsity, **common)
        if per_class < 1:
            raise InvalidConfig("per_class", per_class, "it must be >= 1")
        self.per_class = per_class
        self.reinit_linear = reinit_linear

    def choose_masks(self, model: nn.Module, batches: Iterable[Batch], loss: Loss) -> None:
        """Set the masks by scores on ``per_class`` examples of each class."""
        batches = iter(batches)
        with scored_copy(model, training=True) as scored:
            if self.reinit_linear:
                self._draw_linear_layers(scored)
            inputs, labels = self._examples(scored, batches)
            weights = {
                name: weight
                for name, weight in prunable_weights(scored).items()
                if name in self.pruned_weights
            }
            flows = gradient_flow(scored, list(weights.values()), inputs, labels, loss)
        pairs = zip(weights.items(), flows, strict=True)
        # To remove the highest -w Hg is to keep the highest w Hg.
        scores = {name: weight.detach() * flow for (name, weight), flow in pairs}
        self.keep_highest(scores, self.sparsity)

    def _examples(self, scored: nn.Module, batches: Any) -> Batch:
        first = first_batch(batches, "GraSP")
        with torch.no_grad():
            classes = scored(first[0]).shape[1]
        return examples_per_class(chain([first], batches), self.per_class, classes)

    def _draw_linear_layers(self, scored: nn.Module) -> None:
        for layer in prunable_layers(scored).values():
            if isinstance(layer, nn.Linear):
                drawn = torch.empty(layer.weight.shape)
                nn.init.xavier_normal_(drawn, generator=self.generator)
                layer.weight.data.copy_(drawn)


def gradient_flow(
    model: nn.Module, weights: list[Tensor], inputs: Tensor, labels: Tensor, loss: Loss
) -> list[Tensor]:
    """Return ``Hg``, the Hessian of the loss times its gradient, for each weight.

    Both are sums over two halves of the examples; the logits are divided by a temperature of 200.

    Args:
        model: twice differentiable.
        weights: parameters of the model.
        inputs, labels: the examples.
        loss: maps (outputs, labels) to a scalar.

    Returns:
        One tensor per weight, of the weight's shape.
    """
    halves = [half for half in zip(inputs.chunk(2), labels.chunk(2), strict=True)]

    def gradients(half: Batch, graph: bool) -> tuple[Tensor, ...]:
        value = loss(model(half[0]) / TEMPERATURE, half[1])
        return torch.autograd.grad(value, weights, create_graph=graph)

    totals = [sum(parts) for parts in zip(*(gradients(h, False) for h in halves), strict=True)]
    flows = [torch.zeros_like(weight) for weight in weights]
    for half in halves:
        pairs = zip(totals, gradients(half, True), strict=True)
        product = sum((total * gradient).sum() for total, gradient in pairs)
        for flow, part in zip(flows, torch.autograd.grad(product, weights), strict=True):
            flow += part
    return flows
