"""From a request to a plan: the trainings of a study, fixed and visible before it is queued."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from ham.client.records import (
    Budget,
    BudgetChange,
    Plan,
    Purpose,
    Run,
    Study,
    StudyChange,
    StudyRequest,
)
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, Combination, HamConfig, Recipe
from ham.errors import IncompatibleCombination, InvalidConfig
from search_spaces import SearchSpace, recipe_for, space_for
from service.domain.search import objectives
from service.domain.search.early_stopping import choose_rule
from service.domain.search.screening_rounds import (
    ScreeningRound,
    plan_rounds,
    seed_count,
    training_count,
)
from service.errors import Conflict

SEARCH_SEED = 0
FIRST_SCREENING_SEED = 1_000
FIRST_CONFIRMATION_SEED = 2_000
BASELINES = (RECIPE_BASELINE, PAPER_DEFAULT)
MIN_TRIALS = 3
"""Search trials of a branch under a cap, at least: the two baselines and one to choose."""


def resolve(request: StudyRequest) -> Plan:
    """Check a request against the catalog and fix everything that will run.

    All search trials share one training seed, so that configurations are compared on the same
    initial weights and data order. Screening and confirmation use seeds that the search never saw.
    These seeds are the same in every study, so that methods can be compared by seed across
    studies.

    Raises:
        ham.errors.InvalidConfig: a name is unknown, or the parts do not go together.
    """
    objectives.check(request)
    recipe = recipe_for(request.dataset, request.recipe)
    levels = tuple(sorted(request.sparsities))
    combination = Combination(
        model=request.model,
        dataset=request.dataset,
        sparsifier=request.sparsifier,
        sparsity=levels[0] if levels else request.sparsity,
        optimizer=request.optimizer,
        recipe=recipe.id,
    )
    plan = Plan(
        combination=combination,
        recipe=recipe,
        space=_space(request, recipe),
        budget=request.budget,
        sampler=request.sampler,
        early_stopping="none"
        if levels
        else choose_rule(request.budget.early_stopping, combination, recipe),
        sampler_seed=int(hashlib.sha256(combination.key.encode()).hexdigest()[:8], 16),
        search_seeds=(SEARCH_SEED,),
        screening_seeds=(),
        confirmation_seeds=(),
        baselines=(RECIPE_BASELINE,) if levels else BASELINES,
        objectives=objectives.in_order(request.objectives),
        sparsities=levels,
        reuse=not request.replicate,
        transfer=request.transfer and not levels,
        expected_runs=0,
        expected_epochs=0,
    )
    for level in levels:
        plan.combination_at(level).check()
    return _with_budget(plan, request.budget)


def _space(request: StudyRequest, recipe: Recipe) -> SearchSpace:
    declared = space_for(request.sparsifier, request.model, request.dataset)
    if "weight_decay" in request.tune and recipe.weight_decay == 0:
        raise IncompatibleCombination(
            "tune",
            "weight_decay",
            f"recipe {recipe.id} has none, and the search tries multiples of it",
        )
    return declared.with_choices(request.tune, request.alpha_schedule, request.beta_schedule)


def _with_budget(plan: Plan, budget: Budget) -> Plan:
    """Return a plan with what follows from a budget: the seeds, and how much will be trained."""
    plan = plan.model_copy(update={"budget": budget})
    sizes = sizes_of(plan)
    seeds = budget.screening_seeds if plan.is_multi_objective else seed_count(_rounds(budget))
    return plan.model_copy(
        update={
            "screening_seeds": _seeds(FIRST_SCREENING_SEED, seeds),
            "confirmation_seeds": _seeds(FIRST_CONFIRMATION_SEED, budget.confirmation_seeds),
            "expected_runs": sum(sizes),
            "expected_epochs": _expected_epochs(plan, sizes),
        }
    )


def changed(study: Study, change: StudyChange, runs: Sequence[Run]) -> Study:
    """Return a study with another priority and budget.

    Args:
        study: the study as it stands.
        change: the new values.
        runs: the runs of the study so far.

    Raises:
        Conflict: a training that depends on a changed part has begun.
        InvalidConfig: the new budget is not valid for the study.
    """
    update: dict[str, object] = {}
    if change.priority is not None:
        update["priority"] = change.priority
    if change.budget is not None:
        update["plan"] = rebudget(study.plan, change.budget, runs)
    return study.model_copy(update=update)


def rebudget(plan: Plan, change: BudgetChange, runs: Sequence[Run]) -> Plan:
    """Return the plan with another budget.

    A part of a budget can change until the first training that depends on it begins. A later
    change would look at results, or compare configurations on unequal seeds.

    Args:
        plan: the plan as it stands.
        change: the new values.
        runs: the runs of the study so far.

    Raises:
        Conflict: a training that depends on a changed part has begun.
        InvalidConfig: the new budget is not valid for the plan.
    """
    wanted = change.model_dump(exclude_none=True)
    begun = _begun(plan, runs)
    for name, value in wanted.items():
        if begun[name] and value != getattr(plan.budget, name):
            raise Conflict(
                f"budget.{name} cannot change any more: trainings that depend on it have begun; "
                "re-run the study with another budget"
            )
    budget = plan.budget.model_copy(update=wanted)
    if budget.early_stopping != plan.budget.early_stopping:
        plan = _with_early_stopping(plan, budget)
    return _with_budget(plan, budget)


def _with_early_stopping(plan: Plan, budget: Budget) -> Plan:
    if plan.is_multi_objective:
        objectives.check_early_stopping(budget)
        return plan
    rule = choose_rule(budget.early_stopping, plan.combination, plan.recipe)
    return plan.model_copy(update={"early_stopping": rule})


def _begun(plan: Plan, runs: Sequence[Run]) -> dict[str, bool]:
    """Return, for each part of a budget, whether a training that depends on it has begun."""
    searching = any(run.purpose == Purpose.SEARCH for run in runs)
    screening = [run for run in runs if run.purpose == Purpose.SCREENING]
    finalists_chosen = any(run.setting not in plan.baselines for run in screening)
    confirming = any(run.purpose == Purpose.CONFIRMATION for run in runs)
    return {
        "trials": finalists_chosen,
        "early_stopping": searching,  # all trials are judged by one rule
        "max_epochs": confirming,  # a later cap could end the confirmation where it looks good
        "max_seconds": confirming,
        "finalists": finalists_chosen,
        "screening_seeds": bool(screening),
        # Without a confirmation the jobs of its baselines are skipped during the screening.
        "confirmation_seeds": confirming
        or (bool(screening) and not plan.budget.confirmation_seeds),
    }


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
    screened = branches * training_count(_rounds(budget))
    return StageSizes(
        search=branches * budget.trials,
        screening=screened + len(baselines) * budget.screening_seeds,
        confirmation=(branches + len(baselines)) * budget.confirmation_seeds,
    )


def _rounds(budget: Budget) -> tuple[ScreeningRound, ...]:
    return plan_rounds(budget.finalists, budget.screening_seeds)


def _expected_epochs(plan: Plan, sizes: StageSizes) -> int:
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


def _seeds(first: int, count: int) -> tuple[int, ...]:
    return tuple(range(first, first + count))
