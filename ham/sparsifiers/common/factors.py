"""Weights as products of two factors, ``theta = m * w``, element by element.

Gradient descent on factors has a bias to sparse products, and weight decay lambda on both is an
L1 penalty on the product: the least of ``lambda/2 (m^2 + w^2)`` over all ``m w = theta`` is
``lambda |theta|``.

HAM leaves factors alone. It is itself the step of such an over-parameterization, written for the
weight; on the factors it would apply that bias a second time, and not to the weight.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ham.errors import InvalidConfig
from ham.sparsifiers.common.mask_freezing import MaskFreezingSparsifier
from ham.sparsifiers.common.reparametrized import path_length


def factorize(theta: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Return (m, w) with ``m * w = theta``, ``m^2 - w^2 = scale`` and m >= 0; w has the sign.

    ``m = sqrt((scale + sqrt(scale^2 + 4 theta^2)) / 2)``. With scale 0 the factors are balanced,
    and a weight of exactly zero stays there: neither factor has a gradient.

    Args:
        theta: any shape.
        scale: >= 0.
    """
    m = ((scale + (scale**2 + 4 * theta**2).sqrt()) / 2).sqrt()
    return m, torch.where(m > 0, theta / m, 0.0)


class Product(nn.Module):
    """The parametrization ``(m, w) -> m * w``, begun with ``m^2 - w^2 = scale``."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, m: Tensor, w: Tensor) -> Tensor:
        """Multiply the factors."""
        return m * w

    def right_inverse(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Split a weight into factors."""
        return factorize(theta, self.scale)


class PenalizedFactors(MaskFreezingSparsifier):
    """Trains factors with weight decay, and keeps the products of largest magnitude.

    A dropped weight has ``w = 0``, held by the mask: m has no gradient then. After settling the
    factors train on under the mask.

    Args:
        penalty: weight decay of both factors at the start, >= 0. By default ``pull`` over the
            training's path length, so that it does the same in a short training as in a long one.
        penalty_after: keep the penalty after settling. UNVERIFIED what the papers' fine-tuning
            does; by default there is none, since it would only shrink what is kept.
        zero_below: the emerged sparsity counts weights of a smaller magnitude, > 0, since
            products approach zero without reaching it.
        **common: see :class:`~ham.sparsifiers.common.mask_freezing.MaskFreezingSparsifier`.

    Attributes:
        pull: weight decay times path length (``lr * steps / (1 - momentum)``) of the default.
    """

    pull: float

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
            by_length = self.pull / path_length(group, self.total_steps)
            group["weight_decay"] = by_length if self.penalty is None else self.penalty

    def scores(self) -> dict[str, Tensor]:
        """Score by magnitude."""
        return {name: layer.weight.abs() for name, layer in self.layers.items()}

    def emerged_zeros(self) -> int:
        """Count the weights whose magnitude is below ``zero_below``."""
        return sum(int((score < self.zero_below).sum()) for score in self.scores().values())

    def after_step(self, step: int) -> None:
        """Mask the weights, settle in time, and end the penalty then."""
        super().after_step(step)
        if step == self.settle_step and not self.penalty_after:
            self.set_auxiliary_decay(0.0)
