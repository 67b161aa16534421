"""Which settings deserve a closer look: the finalists, chosen on the surface."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from ham.config import Setting
from search_spaces import LogRange, SearchSpace

if TYPE_CHECKING:
    from service.domain.surface import Surface  # scikit-learn: the API starts without it

LEVELS = 31
"""Levels of the grid on each axis, beside zero where the axis has it."""
_APART = 0.12


def levels(axis: LogRange, count: int = LEVELS) -> tuple[float, ...]:
    """Return the values of an axis that stand for all: zero where it has it, then log-spaced."""
    spaced = np.geomspace(axis.low, axis.high, count)
    zero = (0.0,) if axis.zero_share > 0 else ()
    return zero + tuple(axis.decode(float(value)) for value in spaced)


@cache
def grid(space: SearchSpace) -> tuple[Setting, ...]:
    """Return all pairs of levels, alpha by alpha."""
    return tuple(
        Setting(alpha=alpha, beta=beta)
        for alpha, beta in product(levels(space.alpha), levels(space.beta))
    )


def promising(
    space: SearchSpace,
    surface: Surface | None,
    tried: Sequence[Setting],
    count: int,
    optimism: float = 0.0,
    avoid: Collection[Setting] = (),
) -> tuple[Setting, ...]:
    """Return the best settings with HAM that differ from each other.

    A setting that lies near a better one waits until all others had their turn: the seeds are
    better spent on telling real alternatives apart.

    Args:
        space: the space.
        surface: which tells what is to be expected of a grid and of what was tried; None where the
            runs are too few for one.
        tried: what gave a result, best first; without a surface it is all there is to choose from.
        count: at most so many.
        optimism: standard deviations that are added to what the surface expects, so that a
            setting of which little is known gets its chance.
        avoid: settings that are left out.
    """
    settings = [s for s in dict.fromkeys(tried) if not s.is_no_ham]
    if surface is not None:
        joint = any(setting.joint for setting in settings)  # the grid knows alpha and beta only
        more = () if joint else grid(space)
        settings = [s for s in dict.fromkeys([*settings, *more]) if not s.is_no_ham]
        bound = surface.mean(settings) + optimism * surface.deviation(settings)
        settings = [settings[index] for index in np.argsort(-bound, kind="stable")]
    return _apart(space, [setting for setting in settings if setting not in avoid], count)


def _apart(space: SearchSpace, settings: Iterable[Setting], count: int) -> tuple[Setting, ...]:
    chosen: list[Setting] = []
    near: list[Setting] = []
    for setting in settings:
        if len(chosen) == count:
            break
        is_near = any(_close(space, setting, other) for other in chosen)
        (near if is_near else chosen).append(setting)
    return tuple((chosen + near)[:count])


def _close(space: SearchSpace, one: Setting, other: Setting) -> bool:
    return all(
        abs(axis.place(a) - axis.place(b)) < _APART
        for axis, a, b in (
            (space.alpha, one.alpha, other.alpha),
            (space.beta, one.beta, other.beta),
        )
    )
