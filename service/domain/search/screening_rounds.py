"""The rounds of a screening: how many configurations and new seeds each round has.

A round trains all its candidates on the same new seeds. The candidates of the next round are then
chosen again, a quarter fewer, so that trainings go to where the ranking is least clear. The choice
may take a configuration that has not been screened yet, where the surface expects more of it than
of the configurations screened so far. Successive rejection alone would be limited to what the
search happened to try.

Reference for the shrinking rounds: Karnin, Koren and Somekh, Almost optimal exploration in
multi-armed bandits, ICML 2013. Two departures from it are measured by
``python -m benchmarks.selection``: rounds shrink by a quarter and not by half, and candidates are
chosen anew for each round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ham.client.records import Budget

MAX_ROUNDS = 5
_MIN_CANDIDATES = 3


class ScreeningRound(NamedTuple):
    """One round of a screening.

    Attributes:
        candidates: number of configurations in this round, at most.
        seeds: number of new seeds on which each of them is trained.
    """

    candidates: int
    seeds: int


def plan_rounds(finalists: int, seeds_each: int) -> tuple[ScreeningRound, ...]:
    """Return the rounds of a screening that spends at most ``finalists * seeds_each`` trainings.

    >>> [tuple(planned) for planned in plan_rounds(8, 3)]
    [(8, 1), (6, 1), (4, 1), (3, 1), (3, 1)]
    """
    sizes = [finalists]
    while len(sizes) < MAX_ROUNDS:
        sizes.append(min(sizes[-1], max(_MIN_CANDIDATES, 3 * sizes[-1] // 4)))
    left = finalists * seeds_each
    rounds = []
    for number, candidates in enumerate(sizes):
        if left < candidates:
            break
        seeds = max(1, left // sum(sizes[number:]))
        rounds.append(ScreeningRound(candidates, seeds))
        left -= candidates * seeds
    return tuple(rounds)


def rounds_of(budget: Budget) -> tuple[ScreeningRound, ...]:
    """Return the rounds of the screening that a budget pays for."""
    return plan_rounds(budget.finalists, budget.screening_seeds)


def seed_count(rounds: Sequence[ScreeningRound]) -> int:
    """Return the number of seeds of all rounds."""
    return sum(each.seeds for each in rounds)


def training_count(rounds: Sequence[ScreeningRound]) -> int:
    """Return the number of trainings of all rounds, at most."""
    return sum(each.candidates * each.seeds for each in rounds)
