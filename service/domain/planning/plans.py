"""From a request to a plan: the trainings of a study, fixed and visible before it is queued."""

from __future__ import annotations

import hashlib

from ham.client.records import Budget, Plan, StudyRequest
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, Combination, Recipe
from ham.errors import IncompatibleCombination
from search_spaces import SearchSpace, recipe_for, space_for
from service.domain.planning.stage_sizes import expected_epochs, sizes_of
from service.domain.search import objectives
from service.domain.search.early_stopping import choose_rule
from service.domain.search.screening_rounds import rounds_of, seed_count

SEARCH_SEED = 0
FIRST_SCREENING_SEED = 1_000
FIRST_CONFIRMATION_SEED = 2_000
BASELINES = (RECIPE_BASELINE, PAPER_DEFAULT)


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
    return with_budget(plan, request.budget)


def _space(request: StudyRequest, recipe: Recipe) -> SearchSpace:
    declared = space_for(request.sparsifier, request.model, request.dataset)
    if "weight_decay" in request.tune and recipe.weight_decay == 0:
        raise IncompatibleCombination(
            "tune",
            "weight_decay",
            f"recipe {recipe.id} has none, and the search tries multiples of it",
        )
    return declared.with_choices(request.tune, request.alpha_schedule, request.beta_schedule)


def with_budget(plan: Plan, budget: Budget) -> Plan:
    """Return a plan with what follows from a budget: the seeds, and how much will be trained."""
    plan = plan.model_copy(update={"budget": budget})
    sizes = sizes_of(plan)
    seeds = budget.screening_seeds if plan.is_multi_objective else seed_count(rounds_of(budget))
    return plan.model_copy(
        update={
            "screening_seeds": _seeds(FIRST_SCREENING_SEED, seeds),
            "confirmation_seeds": _seeds(FIRST_CONFIRMATION_SEED, budget.confirmation_seeds),
            "expected_runs": sum(sizes),
            "expected_epochs": expected_epochs(plan, sizes),
        }
    )


def _seeds(first: int, count: int) -> tuple[int, ...]:
    return tuple(range(first, first + count))
