"""Reads tuned combinations from the storage."""

from __future__ import annotations

from typing import NamedTuple

from ham.client.records import Recommendation
from ham.config import Combination
from service.domain.ports import TunedCombinations
from service.domain.transfer.similarity import MAX_NEIGHBOURS, TunedCombination, distance


class StoredTuning(NamedTuple):
    """A tuned combination, and the recommendation that it was read from."""

    recommendation: Recommendation
    tuned: TunedCombination


def nearest_tuned(storage: TunedCombinations, target: Combination) -> list[StoredTuning]:
    """Return the nearest other combinations whose latest recommendation has a surface.

    Left out are recommendations whose configuration was tuned together with the learning rate, or
    for a schedule. At most twice as many are read as may be neighbours: their learning rates count
    in the distance too, but stand in their plans.
    """
    others = [
        recommendation
        for recommendation in storage.recommendations.latest()
        if recommendation.optimum is not None
        and recommendation.combination != target
        and not recommendation.is_joint
    ]
    others.sort(key=lambda other: distance(target, other.combination))
    return [StoredTuning(o, _tuned(storage, o)) for o in others[: 2 * MAX_NEIGHBOURS]]


def _tuned(storage: TunedCombinations, recommendation: Recommendation) -> TunedCombination:
    return TunedCombination(
        recommendation.combination,
        storage.studies.get(recommendation.study_id).plan.recipe,
        storage.recommendations.surface(recommendation.id),
    )
