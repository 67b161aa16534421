"""How a race spends its trainings: sequential halving on fresh, paired seeds.

Every heat trains all that are still in the race on the same new seeds; then the worse half drops
out. Each heat may spend an equal share of what is left, so the fewer are left, the more seeds
each of them gets: trainings go to where the ranking is least clear.

Reference: Karnin, Koren and Somekh, Almost optimal exploration in multi-armed bandits, ICML 2013,
Algorithm 1 (sequential halving with a fixed budget).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Heat(NamedTuple):
    """One round of a race.

    Attributes:
        entrants: settings still in the race.
        seeds: new seeds on which each of them is trained.
    """

    entrants: int
    seeds: int


def heats(finalists: int, seeds_each: int) -> tuple[Heat, ...]:
    """Return the heats of a race that spends at most ``finalists * seeds_each`` trainings.

    >>> heats(8, 3)
    (Heat(entrants=8, seeds=1), Heat(entrants=4, seeds=2), Heat(entrants=2, seeds=4))
    """
    left, entrants = finalists * seeds_each, finalists
    to_come = max(1, (finalists - 1).bit_length())
    planned = []
    while to_come and left >= entrants:
        seeds = max(1, left // (to_come * entrants))
        planned.append(Heat(entrants, seeds))
        left -= entrants * seeds
        entrants, to_come = survivors(entrants), to_come - 1
    return tuple(planned)


def survivors(entrants: int) -> int:
    """Return how many of a heat's entrants stay in the race."""
    return (entrants + 1) // 2


def length(planned: Sequence[Heat]) -> int:
    """Return the seeds that the last ones in the race are trained on."""
    return sum(heat.seeds for heat in planned)


def trainings(planned: Sequence[Heat]) -> int:
    """Return the trainings of all heats."""
    return sum(heat.entrants * heat.seeds for heat in planned)
