"""Warm starts: what a search begins with, from similar combinations."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ham.client.records import Plan, Prior
from ham.config import HamConfig
from service.domain.ports import TunedCombinations
from service.domain.transfer.pooled_effects import prior, transfer
from service.domain.transfer.tuned_combinations import nearest_tuned


class WarmStart(NamedTuple):
    """What similar combinations bring to a search.

    Attributes:
        opening: configurations to try first.
        prior: gains expected before anything is trained.
    """

    opening: tuple[HamConfig, ...] = ()
    prior: Prior | None = None


def warm_start(storage: TunedCombinations, plan: Plan) -> WarmStart:
    """Return what a search begins with; nothing where too few similar combinations are tuned.

    The runner calls this when the search begins, not when it is planned, so that the later studies
    of a sweep use the results of the earlier ones. The Optuna study stores the opening, and the
    plan stores the prior.
    """
    if not plan.transfer:
        return WarmStart()
    known = [stored.tuned for stored in nearest_tuned(storage, plan.combination)]
    space = replace(plan.space, tune=())  # the neighbours' gains are at their recipes' values
    found = transfer(plan.combination, plan.recipe, space, known)
    if found is None:
        return WarmStart()
    return WarmStart(
        opening=tuple(each for each in found.portfolio if not each.is_baseline),
        prior=None if plan.space.tune else prior(plan.combination, plan.recipe, space, known),
    )
