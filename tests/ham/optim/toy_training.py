"""A small model, its data and a training loop for the tests of the optimizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

HamPath = Literal["auto", "reference", "foreach", "fused", "fused_base"]
HamSign = Literal["half_step", "previous"]

INPUTS = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
TARGETS = torch.randn(16, 2, generator=torch.Generator().manual_seed(2))


def small_model(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))


def loss_of(model: nn.Module) -> Tensor:
    dtype = next(model.parameters()).dtype
    outputs: Tensor = model(INPUTS.to(dtype))
    return (outputs - TARGETS.to(dtype)).square().mean()


def take_steps(model: nn.Module, optimizer: Optimizer, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()


def closure_of(model: nn.Module, optimizer: Optimizer) -> Callable[[], Any]:
    """Return a closure that gives the loss. torch declares the losses of closures as floats."""

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        return loss

    return closure


def linear(model: nn.Module, index: int) -> nn.Linear:
    """Return one of the two linear layers of ``small_model``: index 0 or 2."""
    layer = model.get_submodule(str(index))
    assert isinstance(layer, nn.Linear)
    return layer


def weights(model: nn.Module) -> Tensor:
    return torch.cat([param.detach().flatten() for param in model.parameters()])
