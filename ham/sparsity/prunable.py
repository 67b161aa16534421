"""Which tensors may be pruned: the weights of convolutions and linear layers, and nothing else.

Biases and the affine parameters of norms are never pruned: they are few, and without them
units saturate. Every method counts sparsity over this same set, so that "90 %" means the same
number of weights whichever method is measured.
"""

from __future__ import annotations

from torch import Tensor, nn

from ham.errors import InvalidConfig

PrunableLayer = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear


def prunable_layers(model: nn.Module) -> dict[str, PrunableLayer]:
    """Return the layers whose ``weight`` may be pruned, by module name, each tensor once."""
    layers: dict[str, PrunableLayer] = {}
    seen: set[int] = set()
    for name, module in model.named_modules():
        if isinstance(module, PrunableLayer) and id(module.weight) not in seen:
            seen.add(id(module.weight))
            layers[name] = module
    return layers


def prunable_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the prunable weights of a plain model, by their ``state_dict`` name.

    Raises:
        InvalidConfig: the model has no convolution and no linear layer.
    """
    weights = {
        f"{name}.weight" if name else "weight": layer.weight
        for name, layer in prunable_layers(model).items()
    }
    if not weights:
        raise InvalidConfig(
            "model", type(model).__name__, "it must have a convolution or a linear layer"
        )
    return weights
