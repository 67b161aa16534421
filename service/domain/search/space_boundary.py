"""Whether an optimum lies at an edge of the search space, where a better one may lie beyond."""

from __future__ import annotations

from typing import Literal, NamedTuple

from search_spaces import LogRange

_NEAR = 0.05
_REACH = 0.2


class BoundaryHit(NamedTuple):
    """An edge that is touched, and the bound to search to instead."""

    side: Literal["low", "high"]
    extension: float


def boundary_hit(axis: LogRange, low: float, high: float) -> BoundaryHit | None:
    """Return the edge that a range of values touches, where the space really ends there.

    Below a low end with a share of zeros lies zero, which is in the space: it does not end there.
    The extension adds a fifth of the axis.
    """
    reach = (axis.high / axis.low) ** _REACH
    if axis.coordinate(high) > 1 - _NEAR:
        return BoundaryHit("high", float(f"{axis.high * reach:.1g}"))
    if axis.zero_share == 0 and axis.coordinate(low) < _NEAR:
        return BoundaryHit("low", float(f"{axis.low / reach:.1g}"))
    return None
