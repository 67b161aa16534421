"""Dynamic sparse training: at intervals, drop small weights and grow as many elsewhere."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ham.errors import InvalidConfig
from ham.sparsifiers.common.allocation import published_dense
from ham.sparsifiers.common.masked import MaskedSparsifier
from ham.sparsifiers.common.protocol import Presets
from ham.sparsifiers.common.schedules import cosine_drop_fraction
from ham.sparsifiers.common.topk import exact_floor, largest

LONGEST_INTERVAL = 100
SHORTEST_INTERVAL = 4  # RigL spends a step on each update
FEWEST_UPDATES = 15


def drop_and_grow(weight: Tensor, mask: Tensor, count: int, growth_scores: Tensor) -> Tensor:
    """Return the mask after dropping ``count`` active weights and growing as many.

    The smallest active magnitudes are dropped. Grown are the highest growth scores among all
    positions that were not kept, the ones just dropped included.

    Args:
        weight: (out, in, *kernel).
        mask: boolean, the shape of ``weight``.
        count: how many to replace, in [0, mask.sum()].
        growth_scores: the shape of ``weight``.

    Returns:
        A boolean mask with as many True as ``mask``.
    """
    # Inactive weights tie at zero with freshly grown ones: rank them strictly last.
    magnitude = weight.detach().abs().masked_fill(~mask, -1.0)
    kept = largest(magnitude, int(mask.count_nonzero()) - count)
    return kept | largest(growth_scores.masked_fill(kept, -torch.inf), count)


class DynamicSparsifier(MaskedSparsifier):
    """A mask with a constant number of weights per layer whose positions move.

    Args:
        allocation: densities per layer: ``erk``, ``uniform`` or ``balanced``.
        drop_fraction: share of a layer's active weights replaced by the first update, in [0, 1];
            it falls to 0 along a cosine.
        update_interval: optimizer steps between updates. By default 100 as published, or less
            where a short training would otherwise see fewer than 15 updates, but at least 4.
        update_end: fraction of all steps after which masks are frozen, in (0, 1].
        first_dense_from: sparsity from which the first layer stays dense under ERK as well, as
            the authors have it at 99 % on ImageNet; it stays so under ``uniform`` at any.
        **common: see :class:`~ham.sparsifiers.common.MaskedSparsifier`.
    """

    # Evci et al., section 4: updates until step 25,000 of 32,000, and until 75,000 of 97,656.
    # Their code for CIFAR leaves the first layer dense.
    presets: ClassVar[Presets] = {
        "imagenet": {
            "update_interval": 100,
            "update_end": 25_000 / 32_000,
            "first_dense_from": 0.99,
        },
        "cifar": {
            "update_interval": 100,
            "update_end": 75_000 / 97_656,
            "dense_layers": ("first",),
        },
    }

    def __init__(
        self,
        sparsity: float,
        *,
        allocation: str = "erk",
        drop_fraction: float = 0.3,
        update_interval: int | None = None,
        update_end: float = 0.75,
        first_dense_from: float = 1.0,
        **common: Any,
    ) -> None:
        super().__init__(sparsity, **common)
        if not 0 <= drop_fraction <= 1:
            raise InvalidConfig("drop_fraction", drop_fraction, "it must be in [0, 1]")
        if not 0 < update_end <= 1:
            raise InvalidConfig("update_end", update_end, "it must be in (0, 1]")
        if update_interval is not None and update_interval < 1:
            raise InvalidConfig("update_interval", update_interval, "it must be >= 1 step")
        if not 0 <= first_dense_from <= 1:
            raise InvalidConfig("first_dense_from", first_dense_from, "it must be in [0, 1]")
        self.allocation = allocation
        self.first_dense_from = first_dense_from
        self.drop_fraction = drop_fraction
        self.end_step = max(1, exact_floor(update_end * self.total_steps))
        self.update_interval = update_interval or default_interval(self.end_step)

    def published_dense_layers(self) -> tuple[str, ...]:
        """Spare the first layer under uniform densities, and at the highest sparsities."""
        if self.sparsity >= self.first_dense_from:
            return ("first",)
        return published_dense(self.allocation)

    def choose_masks(self, model: nn.Module, batches: Any, loss: Any) -> None:
        """Draw random masks to start from."""
        self.draw_random_masks(self.allocation)

    def is_update(self, step: int) -> bool:
        """Tell whether masks move at this step."""
        return step < self.end_step and step % self.update_interval == 0

    def growth_scores(self, name: str, weight: Tensor) -> Tensor:
        """Score every position of a weight; the highest are grown."""
        raise NotImplementedError

    @torch.no_grad()
    def update_masks(self, step: int) -> None:
        """Drop and grow in every layer that is not dense; new weights start at zero."""
        fraction = cosine_drop_fraction(step, self.end_step, self.drop_fraction)
        for name, weight in self.masks.weights.items():
            old = self.masks[name]
            active = int(old.count_nonzero())
            count = min(exact_floor(fraction * active), active)
            if active == weight.numel() or count == 0:
                continue
            new = drop_and_grow(weight, old, count, self.growth_scores(name, weight))
            self.masks.set(name, new)
            self.forget(name, ~(old & new))


def default_interval(end_step: int) -> int:
    """Return 100 steps, or fewer for 15 updates before the end, but at least 4.

    >>> default_interval(25_000), default_interval(135)
    (100, 8)
    """
    for_fewest = (end_step - 1) // FEWEST_UPDATES
    return max(SHORTEST_INTERVAL, min(LONGEST_INTERVAL, for_fewest))
