"""The transferred recommendation of a combination that has not been tuned."""

from __future__ import annotations

from collections.abc import Sequence

from ham.client.records import Expectation, TransferredRecommendation, TunedNeighbour
from ham.config import Combination, Recipe
from search_spaces import SearchSpace
from service.domain.ports import TunedCombinations
from service.domain.transfer.pooled_effects import Transfer, transfer
from service.domain.transfer.similarity import (
    MIN_NEIGHBOURS,
    TunedCombination,
    distance,
    neighbours,
)
from service.domain.transfer.tuned_combinations import StoredTuning, nearest_tuned
from service.errors import NotFound


def transferred(
    storage: TunedCombinations, combination: Combination, recipe: Recipe, space: SearchSpace
) -> TransferredRecommendation:
    """Return the recommendation that tuned combinations give for another one.

    Raises:
        NotFound: too few of them are near; the message names the nearest.
    """
    stored = nearest_tuned(storage, combination)
    known = [each.tuned for each in stored]
    found = transfer(combination, recipe, space, known)
    if found is None:
        raise NotFound(_refusal(combination, recipe, known))
    return TransferredRecommendation(
        combination=combination,
        setting=found.ham_config,
        expected_gain=Expectation(mean=found.gain, low=found.low, high=found.high),
        portfolio=found.portfolio,
        neighbours=_neighbours(found, stored),
        message=_message(found),
    )


def _neighbours(found: Transfer, stored: Sequence[StoredTuning]) -> tuple[TunedNeighbour, ...]:
    recommendations = {each.tuned.combination: each.recommendation for each in stored}
    return tuple(
        TunedNeighbour(
            combination=near.tuned.combination,
            distance=round(near.distance, 2),
            grade=recommendations[near.tuned.combination].grade,
            setting=recommendations[near.tuned.combination].setting,
            recommendation_id=recommendations[near.tuned.combination].id,
        )
        for near in found.neighbours
    )


def _message(found: Transfer) -> str:
    nearest = found.neighbours[0]
    source = (
        f"{len(found.neighbours)} similar combinations, the nearest "
        f"{nearest.tuned.combination.slug} at distance {nearest.distance:.2f}"
    )
    if found.ham_config.is_baseline:
        return f"Not tuned, and {source}, promise no gain: train without HAM, or submit a study."
    return (
        f"Not tuned: alpha={found.ham_config.alpha:.3g}, beta={found.ham_config.beta:.3g} is "
        f"transferred from {source}. Expect {100 * found.gain:+.2f} points of validation accuracy "
        f"over the baseline without HAM (95 % interval {100 * found.low:+.2f} to "
        f"{100 * found.high:+.2f}). Submit a study to measure it."
    )


def _refusal(target: Combination, recipe: Recipe, known: Sequence[TunedCombination]) -> str:
    near = neighbours(target, recipe, known)
    refusal = (
        f"{target.slug} has not been tuned, and only {len(near)} of the {MIN_NEIGHBOURS} "
        "similar combinations that a transferred configuration needs have been"
    )
    if known and not near:
        nearest = min(known, key=lambda tuned: distance(target, tuned.combination))
        refusal += f" (nearest: {nearest.combination.slug})"
    return f"{refusal}; submit a study"
