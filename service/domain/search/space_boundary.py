"""Whether an optimum lies at the boundary of the search space, and how far to extend the space."""

from __future__ import annotations

from typing import Literal, NamedTuple

from search_spaces import LogRange

_NEAR = 0.05
"""Share of an axis within which a value counts as at its end."""
_REACH = 0.2
"""Share of an axis by which the space should be extended."""


class BoundaryHit(NamedTuple):
    """An end of an axis that an optimum touches.

    Attributes:
        side: the end.
        extension: bound of that side for a further search, one significant digit.
    """

    side: Literal["low", "high"]
    extension: float


def boundary_hit(axis: LogRange, low: float, high: float) -> BoundaryHit | None:
    """Return the end of the axis that the values from ``low`` to ``high`` touch, or None.

    The low end of an axis with a share of zeros is no boundary, because the space goes on to zero.
    """
    factor = (axis.high / axis.low) ** _REACH
    if axis.coordinate(high) > 1 - _NEAR:
        return BoundaryHit("high", float(f"{axis.high * factor:.1g}"))
    if axis.zero_share == 0 and axis.coordinate(low) < _NEAR:
        return BoundaryHit("low", float(f"{axis.low / factor:.1g}"))
    return None
