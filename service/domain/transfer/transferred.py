"""Transferred recommendations and warm starts, from what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ham.client.records import (
    Expectation,
    Plan,
    Prior,
    Recommendation,
    TransferredRecommendation,
    TunedNeighbour,
)
from ham.config import Combination, HamConfig, Recipe
from search_spaces import SearchSpace
from service.domain.ports import TunedCombinations
from service.domain.transfer.pooled_effects import (
    FEWEST_NEIGHBOURS,
    MOST_NEIGHBOURS,
    Known,
    Transfer,
    distance,
    neighbours,
    prior,
    transfer,
)
from service.errors import NotFound


class _Tuned(NamedTuple):
    """A stored recommendation with the surface it was made from."""

    recommendation: Recommendation
    known: Known


def transferred(
    storage: TunedCombinations, combination: Combination, recipe: Recipe, space: SearchSpace
) -> TransferredRecommendation:
    """Return what tuned combinations say about another one.

    Raises:
        NotFound: too few of them are near; the message names the nearest.
    """
    tuned = _tuned(storage, combination)
    found = transfer(combination, recipe, space, [row.known for row in tuned])
    if found is None:
        raise NotFound(_refusal(combination, recipe, [row.known for row in tuned]))
    return TransferredRecommendation(
        combination=combination,
        setting=found.setting,
        expected_gain=Expectation(mean=found.gain, low=found.low, high=found.high),
        portfolio=found.portfolio,
        neighbours=_neighbours(found, tuned),
        message=_message(found),
    )


class WarmStart(NamedTuple):
    """What similar combinations bring to a search.

    Attributes:
        opening: settings to try first.
        prior: what is expected before anything is trained.
    """

    opening: tuple[HamConfig, ...] = ()
    prior: Prior | None = None


def warm_start(storage: TunedCombinations, plan: Plan) -> WarmStart:
    """Return what a search begins with; nothing where too few similar combinations are tuned.

    It is asked when a search begins, not when it is planned, so that the later studies of a sweep
    learn from the earlier ones. Optuna's study keeps what was tried, the plan keeps the prior.
    """
    if not plan.transfer:
        return WarmStart()
    known = [row.known for row in _tuned(storage, plan.combination)]
    space = replace(plan.space, tune=())  # what helped others did so at their recipes' values
    found = transfer(plan.combination, plan.recipe, space, known)
    if found is None:
        return WarmStart()
    return WarmStart(
        opening=tuple(setting for setting in found.portfolio if not setting.is_baseline),
        prior=None if plan.space.tune else prior(plan.combination, plan.recipe, space, known),
    )


def _tuned(storage: TunedCombinations, target: Combination) -> list[_Tuned]:
    """Return what is known of the nearest other combinations with a surface.

    Settings tuned together with the learning rate, or for a schedule, are of another kind.
    Their learning rates, which also count, are in their plans: so a few more are looked at than
    may have a say.
    """
    others = [
        row
        for row in storage.recommendations.latest()
        if row.optimum is not None and row.combination != target and not row.is_joint
    ]
    others.sort(key=lambda row: distance(target, row.combination))
    return [_Tuned(row, _known(storage, row)) for row in others[: 2 * MOST_NEIGHBOURS]]


def _known(storage: TunedCombinations, row: Recommendation) -> Known:
    return Known(
        row.combination,
        storage.studies.get(row.study_id).plan.recipe,
        storage.recommendations.surface(row.id),
    )


def _neighbours(found: Transfer, tuned: Sequence[_Tuned]) -> tuple[TunedNeighbour, ...]:
    by_combination = {row.known.combination: row.recommendation for row in tuned}
    return tuple(
        TunedNeighbour(
            combination=near.known.combination,
            distance=round(near.distance, 2),
            grade=by_combination[near.known.combination].grade,
            setting=by_combination[near.known.combination].setting,
            recommendation_id=by_combination[near.known.combination].id,
        )
        for near in found.neighbours
    )


def _message(found: Transfer) -> str:
    nearest = found.neighbours[0]
    source = (
        f"{len(found.neighbours)} similar combinations, the nearest "
        f"{nearest.known.combination.slug} at distance {nearest.distance:.2f}"
    )
    if found.setting.is_baseline:
        return f"Not tuned, and {source}, promise no gain: train without HAM, or submit a study."
    return (
        f"Not tuned: alpha={found.setting.alpha:.3g}, beta={found.setting.beta:.3g} is carried "
        f"over from {source}. Expect {100 * found.gain:+.2f} points of validation accuracy over "
        f"no HAM (95 % interval {100 * found.low:+.2f} to {100 * found.high:+.2f}). "
        "Submit a study to know."
    )


def _refusal(target: Combination, recipe: Recipe, known: Sequence[Known]) -> str:
    near = neighbours(target, recipe, known)
    said = (
        f"{target.slug} has not been tuned, and only {len(near)} of the {FEWEST_NEIGHBOURS} "
        "similar combinations that a transferred setting needs have been"
    )
    if known and not near:
        nearest = min(known, key=lambda row: distance(target, row.combination))
        said += f" (nearest: {nearest.combination.slug})"
    return f"{said}; submit a study"
