"""Access to a gradient that must be there."""

from __future__ import annotations

from torch import Tensor


def grad_of(param: Tensor) -> Tensor:
    assert param.grad is not None
    return param.grad
