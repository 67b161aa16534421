"""Initialization of weights."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.conv import _ConvNd


def kaiming_normal(model: nn.Module) -> nn.Module:
    """Draw weights of convolutions and linear layers from N(0, 2 / fan_in) and zero their biases.

    Reference: He et al., "Delving Deep into Rectifiers", ICCV 2015, equation (10).

    Returns:
        The same model.
    """
    for module in model.modules():
        if isinstance(module, (_ConvNd, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model
