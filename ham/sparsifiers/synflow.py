"""SynFlow: pruning at initialization by synaptic flow, without data and layer collapse.

Reference: Tanaka, Kunin, Yamins and Ganguli, "Pruning Neural Networks without Any Data by
Iteratively Conserving Synaptic Flow", NeurIPS 2020, https://arxiv.org/abs/2006.05467, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ham.errors import InvalidConfig
from ham.sparsifiers.common.masked import MaskedSparsifier
from ham.sparsifiers.common.protocol import Batch, Loss
from ham.sparsifiers.common.prunable import prunable_weights
from ham.sparsifiers.common.scoring import first_batch, scored_copy


class SynFlow(MaskedSparsifier):
    """Prune in round k to density ``(1 - sparsity)^(k / rounds)``, lowest synaptic flow first.

    The flow of a weight is ``|dR/dw * w|``. R is the sum of the outputs of the network with
    absolute weights for an input of ones. Only the shape of the batches is read.

    Args:
        rounds: number of prunings, >= 1; 100 as in the paper.
        **common: see :class:`~ham.sparsifiers.common.MaskedSparsifier`.

    Deviations: flows are computed in float64, since those of deep networks overflow float32.
    """

    def __init__(self, sparsity: float, *, rounds: int = 100, **common: Any) -> None:
        super().__init__(sparsity, **common)
        if rounds < 1:
            raise InvalidConfig("rounds", rounds, "it must be >= 1")
        self.rounds = rounds

    def choose_masks(self, model: nn.Module, batches: Iterable[Batch], loss: Loss) -> None:
        """Set the masks by pruning a copy of the model in rounds."""
        inputs, _ = first_batch(batches, "SynFlow")
        ones = torch.ones(1, *inputs.shape[1:], dtype=torch.float64, device=inputs.device)
        with scored_copy(model, training=False) as linear:
            _linearize(linear)
            weights = {
                name: weight
                for name, weight in prunable_weights(linear).items()
                if name in self.pruned_weights
            }
            for round_ in range(1, self.rounds + 1):
                self._prune_round(linear, weights, ones, round_)

    def _prune_round(
        self, linear: nn.Module, weights: dict[str, Tensor], ones: Tensor, round_: int
    ) -> None:
        flows = synaptic_flow(linear, list(weights.values()), ones)
        scores = {
            # Pruned weights rank below kept weights of zero flow.
            name: flow.masked_fill(~self.masks[name], -1.0)
            for name, flow in zip(weights, flows, strict=True)
        }
        self.keep_highest(scores, 1 - (1 - self.sparsity) ** (round_ / self.rounds))
        for name, weight in weights.items():
            weight.data.masked_fill_(~self.masks[name], 0)


def synaptic_flow(linear: nn.Module, weights: list[Tensor], ones: Tensor) -> list[Tensor]:
    """Return ``|dR/dw * w|`` of each weight; R is the sum of the outputs.

    Args:
        linear: the model with absolute values as parameters and buffers.
        weights: parameters of this model.
        ones: an input of ones, (1, *shape of an example).
    """
    gradients = torch.autograd.grad(linear(ones).sum(), weights)
    return [(w.detach() * grad).abs() for w, grad in zip(weights, gradients, strict=True)]


def _linearize(model: nn.Module) -> None:
    """Convert the model to float64, with absolute values as parameters and buffers."""
    model.double()
    for tensor in model.state_dict().values():
        tensor.abs_()
