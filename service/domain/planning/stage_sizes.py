"""How many trainings and epochs each stage of a study has, at most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ham.client.records import Budget, Plan
from ham.config import HamConfig
from ham.errors import InvalidConfig
from service.domain.search.screening_rounds import rounds_of, training_count

MIN_TRIALS = 3
"""Search trials of a branch under a cap, at least: the two baselines and one to choose."""


class StageSizes(NamedTuple):
    """Numbers of trainings of each stage, at most: a finalist may be a baseline as well."""

    search: int
    screening: int
    confirmation: int


def sizes_of(plan: Plan) -> StageSizes:
    """Return the number of trainings of each stage of a plan, at most."""
    if plan.is_multi_objective:
        return pareto_stage_sizes(plan.budget, len(plan.sparsities))
    return stage_sizes(plan.budget, plan.baselines, len(plan.branches))


def pareto_stage_sizes(budget: Budget, levels: int) -> StageSizes:
    """Return the sizes of a study of two objectives.

    All finalists may be on the Pareto front, and the baseline is trained beside them at each level
    of sparsity.
    """
    candidates = budget.finalists + levels
    return StageSizes(
        search=budget.trials,
        screening=candidates * budget.screening_seeds,
        confirmation=candidates * budget.confirmation_seeds,
    )


def stage_sizes(budget: Budget, baselines: Sequence[HamConfig], branches: int = 1) -> StageSizes:
    """Return the sizes of a study of one objective; each branch has the whole budget."""
    screened = branches * training_count(rounds_of(budget))
    return StageSizes(
        search=branches * budget.trials,
        screening=screened + len(baselines) * budget.screening_seeds,
        confirmation=(branches + len(baselines)) * budget.confirmation_seeds,
    )


def expected_epochs(plan: Plan, sizes: StageSizes) -> int:
    """Return the most epochs that a study may train.

    Raises:
        InvalidConfig: the budget leaves no search.
    """
    budget, planned = plan.budget, sum(sizes) * plan.run_epochs
    fewest = len(plan.branches) * min(MIN_TRIALS, budget.trials)
    if plan.is_multi_objective:
        fewest = len(plan.sparsities) + 1
        if budget.trials < fewest:
            raise InvalidConfig(
                "trials",
                budget.trials,
                f"the baseline is tried at each of the {fewest - 1} sparsities first: "
                f"at least {fewest}",
            )
    if budget.max_epochs is None:
        return planned
    needed = (fewest + sizes.screening + sizes.confirmation) * plan.run_epochs
    if budget.max_epochs < needed:
        raise InvalidConfig(
            "max_epochs",
            budget.max_epochs,
            f"{fewest} search trials, the screening and the confirmation take {needed} epochs; "
            "raise it to that or more, or ask for fewer finalists or seeds",
        )
    return min(budget.max_epochs, planned)
