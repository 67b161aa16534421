"""SNIP: pruning at initialization of the weights with the least effect on the loss.

Reference: Lee, Ajanthan and Torr, "SNIP: Single-shot Network Pruning Based on Connection
Sensitivity", ICLR 2019, https://arxiv.org/abs/1810.02340.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from ham.sparsifiers.common.masked import MaskedSparsifier
from ham.sparsifiers.common.protocol import Batch, Loss
from ham.sparsifiers.common.prunable import prunable_weights
from ham.sparsifiers.common.scoring import first_batch, scored_copy


class SNIP(MaskedSparsifier):
    """Keep the largest ``|gradient * weight|`` on one minibatch, over all layers together.

    Args:
        batch_statistics: True scores with the batch's own statistics in norms, False with the
            running statistics of the untrained model.
        **common: see :class:`~ham.sparsifiers.common.MaskedSparsifier`.

    Deviations: the scored weights are those that are trained, as in the authors' code; some ports
        draw other weights. Biases are never pruned; the authors' code prunes them. Batch
        statistics are the default; the authors' code uses running statistics.
    """

    def __init__(self, sparsity: float, *, batch_statistics: bool = True, **common: Any) -> None:
        super().__init__(sparsity, **common)
        self.batch_statistics = batch_statistics

    def choose_masks(self, model: nn.Module, batches: Iterable[Batch], loss: Loss) -> None:
        """Set the masks by scores on the first batch."""
        inputs, labels = first_batch(batches, "SNIP")
        with scored_copy(model, training=self.batch_statistics) as scored:
            weights = {
                name: weight
                for name, weight in prunable_weights(scored).items()
                if name in self.pruned_weights
            }
            value = loss(scored(inputs), labels)
            gradients = torch.autograd.grad(value, list(weights.values()))
        pairs = zip(weights.items(), gradients, strict=True)
        scores = {name: (weight.detach() * grad).abs() for (name, weight), grad in pairs}
        self.keep_highest(scores, self.sparsity)
