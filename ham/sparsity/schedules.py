"""How quantities of a sparsifier move over a training: pure functions of the step."""

from __future__ import annotations

import math


def cosine_drop_fraction(step: int, end: int, start_fraction: float) -> float:
    """Return the share of active weights to replace: ``a/2 (1 + cos(pi t / T_end))``.

    Args:
        step: steps taken, >= 0; from ``end`` on the fraction is 0.
        end: the step at which updates stop, > 0.
        start_fraction: the fraction at step 0, in [0, 1].

    Reference: Evci et al., "Rigging the Lottery", ICML 2020, section 3 (2).
    """
    if step >= end:
        return 0.0
    return start_fraction / 2 * (1 + math.cos(math.pi * step / end))
