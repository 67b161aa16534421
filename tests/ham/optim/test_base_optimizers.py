"""HAM uses the raw gradient around every base optimizer of torch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.optim import SGD, Adam, AdamW, Optimizer

from ham.optim import HAM
from ham.optim.formula import hyperbolic_step_
from tests.ham.gradients import grad_of
from tests.ham.optim.toy_training import (
    HamPath,
    loss_of,
    small_model,
    take_steps,
    weights,
)

ALPHA, BETA = 5.0, 1e-2

BASES: dict[str, Callable[..., Optimizer]] = {
    "sgd with coupled decay": lambda p: SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "foreach nesterov": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True, foreach=True),
    "fused sgd": lambda p: SGD(p, lr=0.1, momentum=0.9, fused=True),
    "maximizing sgd": lambda p: SGD(p, lr=0.1, maximize=True),
    "maximizing foreach adamw": lambda p: AdamW(p, lr=0.01, maximize=True, foreach=True),
    "adam with coupled decay": lambda p: Adam(p, lr=0.01, weight_decay=0.1),
    "amsgrad": lambda p: Adam(p, lr=0.01, amsgrad=True),
    "adamw": lambda p: AdamW(p, lr=0.01),
    "fused adamw": lambda p: AdamW(p, lr=0.01, fused=True),
    "tensor learning rate": lambda p: AdamW(p, lr=torch.tensor(0.01)),
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=0.1),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
    "asgd": lambda p: torch.optim.ASGD(p, lr=0.01),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, centered=True, momentum=0.5),
    "foreach rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, weight_decay=0.1, foreach=True),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
}


@pytest.mark.parametrize("path", ["auto", "fused_base"])
@pytest.mark.parametrize("name", BASES)
def test_ham_multiplies_by_the_raw_gradient_after_every_base(name: str, path: HamPath) -> None:
    model, bare = small_model(), small_model()
    optimizer = HAM(BASES[name](model.parameters()), ALPHA, BETA, path=path)
    base = BASES[name](bare.parameters())
    for _ in range(3):
        take_steps(model, optimizer, 1)
        base.zero_grad()
        loss_of(bare).backward()
        raw = [grad_of(param).clone() for param in bare.parameters()]
        base.step()
        group = base.param_groups[0]
        for param, grad in zip(bare.parameters(), raw, strict=True):
            if param.dim() >= 2:
                sign = -1 if group.get("maximize") else 1
                hyperbolic_step_(param.data, sign * grad, lr=group["lr"], alpha=ALPHA, beta=BETA)
    torch.testing.assert_close(weights(model), weights(bare), rtol=1e-4, atol=1e-5)
