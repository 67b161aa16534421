"""Floating-point operations of a masked model, counted and not timed.

A multiplication and an addition count as two operations, in convolutions and linear layers only,
as in the sparse-training literature (Evci et al., ICML 2020, appendix H). Zero weights cost
nothing, on any hardware.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ham.sparsifiers.common.prunable import prunable_layers

PER_WEIGHT = 2  # a multiplication and an addition


def uses_per_example(model: nn.Module, example: Tensor) -> dict[str, int]:
    """Return how often one example uses each weight: the number of its output positions.

    Args:
        model: the model; it is not changed.
        example: one input of shape (1, channels, height, width).

    Returns:
        Number of output positions by weight name; 1 for a linear layer on a vector.
    """
    positions: dict[str, int] = {}

    def count(name: str, layer: nn.Module, output: Tensor) -> None:
        outputs = output.numel()
        channels = int(layer.weight.shape[0])  # type: ignore[index]
        positions[name] = positions.get(name, 0) + outputs // channels

    hooks = [
        layer.register_forward_hook(
            lambda module, _, output, name=f"{name}.weight": count(name, module, output)
        )
        for name, layer in prunable_layers(model).items()
    ]
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(example)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return positions


def inference_flops(weights: Mapping[str, int], uses: Mapping[str, int]) -> int:
    """Return the operations of one example's forward pass.

    Args:
        weights: number of nonzero weights, by name.
        uses: output of :func:`uses_per_example`.
    """
    return PER_WEIGHT * sum(count * uses.get(name, 0) for name, count in weights.items())


def training_flops(
    kept: Mapping[str, int],
    sizes: Mapping[str, int],
    uses: Mapping[str, int],
    *,
    dense_gradient: bool,
) -> int:
    """Return the operations of one example's training step.

    The forward pass, the gradient of the inputs and the gradient of the weights cost the same.
    The gradient of the weights is that of the dense model if the method reads gradients of
    dropped weights.

    Args:
        kept: number of weights that train in this step, by name.
        sizes: number of all prunable weights, by name.
        uses: output of :func:`uses_per_example`.
        dense_gradient: True if the method reads the dense gradient in this step.
    """
    sparse = inference_flops(kept, uses)
    return 2 * sparse + (inference_flops(sizes, uses) if dense_gradient else sparse)
