"""Exact counts: masks with exactly so many weights, by score or at random."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

# int(0.15 * 1000) is 149 in floating point. No layer is so large that 1e-6 matters.
ROUND_OFF = 1e-6


def exact_floor(value: float) -> int:
    """Round down; a value within 1e-6 below an integer becomes that integer."""
    return math.floor(value + ROUND_OFF)


def kept_count(size: int, sparsity: float) -> int:
    """Return the number of kept weights at a sparsity: ``size - floor(sparsity * size)``.

    Examples:
        >>> kept_count(1000, 0.9)
        100
        >>> kept_count(5, 0.5)
        3
    """
    return size - exact_floor(sparsity * size)


def largest(scores: Tensor, count: int) -> Tensor:
    """Return the mask of the ``count`` largest scores; of equal scores the first in memory wins.

    A stable sort selects, and not ``scores > threshold``: scores often tie (freshly grown weights
    are all exactly zero), and a threshold then keeps too many or too few.

    Args:
        scores: any shape; NaN ranks as the largest, so the count is exact with NaN too.
        count: number of positions to select, in [0, scores.numel()].

    Returns:
        A boolean tensor of the shape of ``scores`` with exactly ``count`` True.
    """
    order = torch.argsort(scores.flatten(), descending=True, stable=True)
    mask = torch.zeros(scores.numel(), dtype=torch.bool, device=scores.device)
    mask[order[:count]] = True
    return mask.view_as(scores)


def random_subset(candidates: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return a mask of ``count`` of the True positions of ``candidates``, uniformly at random.

    The draw is made on the CPU, so a seed gives the same mask on every device.

    Args:
        candidates: boolean, any shape.
        count: number of positions to select, in [0, candidates.sum()].
        generator: a CPU generator.
    """
    scores = torch.rand(candidates.shape, generator=generator, dtype=torch.float64)
    scores.masked_fill_(~candidates.cpu(), -1.0)
    return largest(scores, count).to(candidates.device)


def largest_overall(scores: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Return masks of the ``count`` largest scores over all tensors together.

    Of equal scores the one in the first tensor wins, and within a tensor the first in memory.
    """
    together = largest(torch.cat([score.flatten() for score in scores.values()]), count)
    parts = together.split([score.numel() for score in scores.values()])
    return {name: part.view_as(scores[name]) for name, part in zip(scores, parts, strict=True)}
