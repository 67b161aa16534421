"""Schedules over a training: drop fraction and sparsity as pure functions of the step."""

from __future__ import annotations

import math


def cosine_drop_fraction(step: int, end: int, start_fraction: float) -> float:
    """Return the share of active weights to replace: ``a/2 (1 + cos(pi t / T_end))``.

    Args:
        step: t, optimizer steps taken, >= 0; from ``end`` on the fraction is 0.
        end: T_end, the step at which updates stop, > 0.
        start_fraction: a, the fraction at step 0, in [0, 1].

    Reference: Evci et al., "Rigging the Lottery", ICML 2020, section 3 (2).
    """
    if step >= end:
        return 0.0
    return start_fraction / 2 * (1 + math.cos(math.pi * step / end))


def cubic_sparsity(step: int, begin: int, end: int, final_sparsity: float) -> float:
    """Return the sparsity of gradual pruning: ``s_f (1 - (1 - (t - t0) / (t_end - t0))^3)``.

    Args:
        step: t, optimizer steps taken, >= 0.
        begin: t0, the last step without pruning.
        end: t_end, the step from which the sparsity is final, > begin.
        final_sparsity: s_f, in [0, 1).

    Reference: Zhu and Gupta, "To Prune, or Not to Prune", 2017, equation (1), with initial
        sparsity 0, https://arxiv.org/abs/1710.01878.
    """
    progress = min(max((step - begin) / (end - begin), 0.0), 1.0)
    return final_sparsity * (1 - (1 - progress) ** 3)
