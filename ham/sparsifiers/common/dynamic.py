"""Dynamic sparse training: drop the smallest weights at intervals and grow as many elsewhere."""

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

MAX_UPDATE_INTERVAL = 100
MIN_UPDATE_INTERVAL = 4  # RigL skips the optimizer step at each update
MIN_UPDATES = 15


def drop_and_grow(weight: Tensor, mask: Tensor, count: int, growth_scores: Tensor) -> Tensor:
    """Return the mask after ``count`` active weights are dropped and as many are grown.

    The active weights of smallest magnitude are dropped. The positions of highest growth score
    are grown, among all positions that are not kept; a weight that was just dropped may grow.

    Args:
        weight: (out, in, *kernel).
        mask: boolean, same shape as ``weight``; True where a weight is active.
        count: number of weights to replace, in [0, mask.sum()].
        growth_scores: same shape as ``weight``.

    Returns:
        A boolean mask with as many True as ``mask``.
    """
    # Inactive weights and freshly grown ones are both zero: rank the inactive strictly last.
    magnitude = weight.detach().abs().masked_fill(~mask, -1.0)
    kept = largest(magnitude, int(mask.count_nonzero()) - count)
    return kept | largest(growth_scores.masked_fill(kept, -torch.inf), count)


class DynamicSparsifier(MaskedSparsifier):
    """Keep a constant number of active weights per layer and change their positions.

    Args:
        allocation: densities per layer: ``erk``, ``uniform`` or ``balanced``.
        drop_fraction: share of a layer's active weights that the first update replaces, in
            [0, 1]. It falls to 0 along a cosine.
        update_interval: optimizer steps between updates, >= 1. The default is the published 100.
            A training that would have fewer than 15 updates gets a shorter interval, of at least
            4 steps.
        update_end: fraction of all steps after which masks are frozen, in (0, 1].
        first_dense_from: sparsity in [0, 1] from which the first layer stays dense under any
            allocation. The authors keep it dense at 99 % on ImageNet. Under ``uniform`` it stays
            dense at any sparsity.
        **common: see :class:`~ham.sparsifiers.common.MaskedSparsifier`.
    """

    # Evci et al., section 4: updates until step 25,000 of 32,000 (ImageNet) and until step 75,000
    # of 97,656 (CIFAR). Their CIFAR code leaves the first layer dense.
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
        """Return the first layer under uniform densities or from ``first_dense_from`` on."""
        if self.sparsity >= self.first_dense_from:
            return ("first",)
        return published_dense(self.allocation)

    def choose_masks(self, model: nn.Module, batches: Any, loss: Any) -> None:
        """Draw the initial random masks."""
        self.draw_random_masks(self.allocation)

    def is_update(self, step: int) -> bool:
        """Return whether the masks are updated at this step."""
        return step < self.end_step and step % self.update_interval == 0

    def growth_scores(self, name: str, weight: Tensor) -> Tensor:
        """Return a score for every position of a weight; the highest scores are grown.

        Args:
            name: name of the weight.
            weight: (out, in, *kernel); the scores have the same shape.
        """
        raise NotImplementedError

    @torch.no_grad()
    def update_masks(self, step: int) -> None:
        """Drop and grow in every layer that is not dense; grown weights start at zero."""
        fraction = cosine_drop_fraction(step, self.end_step, self.drop_fraction)
        for name, weight in self.masks.weights.items():
            old = self.masks[name]
            active = int(old.count_nonzero())
            count = min(exact_floor(fraction * active), active)
            if active == weight.numel() or count == 0:
                continue
            new = drop_and_grow(weight, old, count, self.growth_scores(name, weight))
            self.masks.set(name, new)
            self.reset_weights(name, ~(old & new))


def default_interval(end_step: int) -> int:
    """Return an update interval in steps: at most 100, at least 4, short enough for 15 updates.

    Examples:
        >>> default_interval(25_000), default_interval(135)
        (100, 8)
    """
    for_fewest = (end_step - 1) // MIN_UPDATES
    return max(MIN_UPDATE_INTERVAL, min(MAX_UPDATE_INTERVAL, for_fewest))
