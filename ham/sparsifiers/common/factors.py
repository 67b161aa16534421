"""Weights as products of two factors, ``theta = m * w``, element by element.

Gradient descent on factors has an implicit bias to sparse products. Weight decay lambda on both
factors is an L1 penalty on the product: the minimum of ``lambda/2 (m^2 + w^2)`` over all
``m w = theta`` is ``lambda |theta|``.

HAM does not act on factors. HAM is itself the step of such an over-parameterization, written for
the weight; on the factors it would apply that bias a second time, and not to the weight.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ham.errors import InvalidConfig
from ham.sparsifiers.common.mask_freezing import MaskFreezingSparsifier
from ham.sparsifiers.common.reparametrized import gradient_flow_time


def factorize(theta: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Return (m, w) with ``m * w = theta``, ``m^2 - w^2 = scale`` and m >= 0.

    ``m = sqrt((scale + sqrt(scale^2 + 4 theta^2)) / 2)``; w has the sign of theta. With scale 0
    the factors are balanced, and a weight of exactly zero stays zero: neither factor has a
    gradient.

    Args:
        theta: any shape; both factors have the same shape.
        scale: difference of the squares, >= 0.
    """
    m = ((scale + (scale**2 + 4 * theta**2).sqrt()) / 2).sqrt()
    return m, torch.where(m > 0, theta / m, 0.0)


class Product(nn.Module):
    """The parametrization ``(m, w) -> m * w``, initialized at ``m^2 - w^2 = scale``."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, m: Tensor, w: Tensor) -> Tensor:
        """Return the product of the factors."""
        return m * w

    def right_inverse(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return the factors of a weight."""
        return factorize(theta, self.scale)


class PenalizedFactors(MaskFreezingSparsifier):
    """Train factors with weight decay and keep the products of largest magnitude.

    A dropped weight has ``w = 0``, held by the mask, so m has no gradient. After mask freezing
    the factors train on under the mask.

    Args:
        penalty: weight decay of both factors at the start, >= 0. The default is ``total_decay``
            divided by the training's gradient-flow time, so that a short training and a long one
            shrink the weights by the same factor.
        penalty_after: keep the penalty after mask freezing. The default ends it, since it would
            only shrink the kept weights. The papers' fine-tuning is UNVERIFIED in this point.
        zero_below: magnitude, > 0, below which a weight counts as zero in the emerged sparsity,
            since products approach zero without reaching it.
        **common: see :class:`~ham.sparsifiers.common.mask_freezing.MaskFreezingSparsifier`.

    Attributes:
        total_decay: default weight decay times gradient-flow time
            (``lr * steps / (1 - momentum)``); it has no unit.
    """

    total_decay: float

    def __init__(
        self,
        sparsity: float,
        *,
        penalty: float | None = None,
        penalty_after: bool = False,
        zero_below: float = 1e-3,
        **common: Any,
    ) -> None:
        super().__init__(sparsity, **common)
        if penalty is not None and not penalty >= 0:
            raise InvalidConfig("penalty", penalty, "it must be >= 0")
        if not zero_below > 0:
            raise InvalidConfig("zero_below", zero_below, "it must be > 0")
        self.penalty = penalty
        self.penalty_after = penalty_after
        self.zero_below = zero_below

    def bind(self, optimizer: Optimizer) -> None:
        """Set the penalty as the weight decay of the factors; see the base class."""
        super().bind(optimizer)
        for group in self.auxiliary_groups():
            default = self.total_decay / gradient_flow_time(group, self.total_steps)
            group["weight_decay"] = default if self.penalty is None else self.penalty

    def scores(self) -> dict[str, Tensor]:
        """Return the magnitudes of the products."""
        return {name: layer.weight.abs() for name, layer in self.layers.items()}

    def emerged_zeros(self) -> int:
        """Return the number of weights whose magnitude is below ``zero_below``."""
        return sum(int((score < self.zero_below).sum()) for score in self.scores().values())

    def after_step(self, step: int) -> None:
        """Mask the weights; at ``freeze_step`` freeze the masks and end the penalty."""
        super().after_step(step)
        if step == self.freeze_step and not self.penalty_after:
            self.set_auxiliary_decay(0.0)
