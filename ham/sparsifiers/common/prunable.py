"""The prunable weights of a model: those of convolutions and linear layers.

Biases and the affine parameters of norms are never pruned: they are few, and without them units
saturate. Every method counts sparsity over this same set, so "90 %" means the same number of
weights under every method.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils import parametrize

from ham.errors import InvalidConfig

PrunableLayer = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear


def prunable_layers(model: nn.Module) -> dict[str, PrunableLayer]:
    """Return the layers whose ``weight`` may be pruned, by module name; a shared weight once."""
    layers: dict[str, PrunableLayer] = {}
    seen: set[int] = set()
    for name, module in model.named_modules():
        if isinstance(module, PrunableLayer) and id(stored_tensors(module)[0]) not in seen:
            seen.add(id(stored_tensors(module)[0]))
            layers[name] = module
    return layers


def stored_tensors(layer: PrunableLayer) -> tuple[Tensor, ...]:
    """Return the stored parameters of a layer's weight: the weight itself, or its originals."""
    if not parametrize.is_parametrized(layer, "weight"):
        return (layer.weight,)
    originals: nn.Module = layer.parametrizations["weight"]  # type: ignore[index, assignment]
    return tuple(originals.parameters(recurse=False))


def weight_name(layer: str) -> str:
    """Return the ``state_dict`` name of a layer's weight, from the layer's module name."""
    return f"{layer}.weight" if layer else "weight"


def prunable_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the prunable weights of a model, by their name in the plain architecture.

    The weight of a re-parameterized layer is the tensor that the layer computes with, not its
    factors.

    Raises:
        InvalidConfig: the model has no convolution and no linear layer.
    """
    weights = {weight_name(name): layer.weight for name, layer in prunable_layers(model).items()}
    if not weights:
        raise InvalidConfig(
            "model", type(model).__name__, "it must have a convolution or a linear layer"
        )
    return weights
