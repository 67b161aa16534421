"""How a race spends its trainings: on fresh, paired seeds, on ever fewer settings.

Every heat trains its entrants on the same new seeds. Who enters the next heat is then decided
again, and a quarter fewer may: trainings go to where the ranking is least clear. A setting that
has not run yet may enter, where the surface has learned to expect more of it than of those that
ran: successive rejection alone is held by what the search happened to try.

Reference for the shrinking field: Karnin, Koren and Somekh, Almost optimal exploration in
multi-armed bandits, ICML 2013; that it shrinks by a quarter and not by half, and that it is named
anew, is measured (``python -m benchmarks.selection``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

MAX_ROUNDS = 5
_FEWEST = 3


class ScreeningRound(NamedTuple):
    """One round of a race.

    Attributes:
        entrants: settings in this heat, at most.
        seeds: new seeds on which each of them is trained.
    """

    candidates: int
    seeds: int


def plan_rounds(finalists: int, seeds_each: int) -> tuple[ScreeningRound, ...]:
    """Return the heats of a race that spends at most ``finalists * seeds_each`` trainings.

    >>> [tuple(heat) for heat in heats(8, 3)]
    [(8, 1), (6, 1), (4, 1), (3, 1), (3, 1)]
    """
    fields = [finalists]
    while len(fields) < MAX_ROUNDS:
        fields.append(min(fields[-1], max(_FEWEST, 3 * fields[-1] // 4)))
    left = finalists * seeds_each
    planned = []
    for number, candidates in enumerate(fields):
        if left < candidates:
            break
        seeds = max(1, left // sum(fields[number:]))
        planned.append(ScreeningRound(candidates, seeds))
        left -= candidates * seeds
    return tuple(planned)


def length(planned: Sequence[ScreeningRound]) -> int:
    """Return the seeds of all heats."""
    return sum(heat.seeds for heat in planned)


def trainings(planned: Sequence[ScreeningRound]) -> int:
    """Return the trainings of all heats."""
    return sum(heat.candidates * heat.seeds for heat in planned)
