"""From a request to a plan: what will run, fixed and visible before it is queued."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from ham.config import NO_HAM, PAPER_DEFAULT, Combination, Setting
from search_spaces import recipe_for, space_for
from service.records import Budget, Plan, StudyRequest

SEARCH_SEED = 0
FIRST_SCREENING_SEED = 1_000
FIRST_CONFIRMATION_SEED = 2_000
BASELINES = (NO_HAM, PAPER_DEFAULT)


def resolve(request: StudyRequest) -> Plan:
    """Check a request against the catalogue and fix everything that will run.

    All search trials share one training seed, so that settings are compared on the same initial
    weights and data order. Screening and confirmation use seeds that the search never saw, the
    same in every study, so that methods can be compared by seed across studies as well.

    Raises:
        ham.errors.InvalidConfig: a name is unknown, or the parts do not go together.
    """
    recipe = recipe_for(request.dataset, request.recipe)
    combination = Combination(
        model=request.model,
        dataset=request.dataset,
        sparsifier=request.sparsifier,
        sparsity=request.sparsity,
        optimizer=request.optimizer,
        recipe=recipe.id,
    )
    budget = request.budget
    runs = sum(stage_sizes(budget, BASELINES))
    return Plan(
        combination=combination,
        recipe=recipe,
        space=space_for(request.sparsifier),
        budget=budget,
        sampler="tpe",
        sampler_seed=int(hashlib.sha256(combination.key.encode()).hexdigest()[:8], 16),
        search_seeds=(SEARCH_SEED,),
        screening_seeds=_seeds(FIRST_SCREENING_SEED, budget.screening_seeds),
        confirmation_seeds=_seeds(FIRST_CONFIRMATION_SEED, budget.confirmation_seeds),
        baselines=BASELINES,
        expected_runs=runs,
        expected_epochs=runs * combination.epochs(recipe),
    )


class StageSizes(NamedTuple):
    """Trainings of each stage, at most: a finalist may be a baseline as well."""

    search: int
    screening: int
    confirmation: int


def stage_sizes(budget: Budget, baselines: Sequence[Setting]) -> StageSizes:
    """Return how many trainings a budget stands for."""
    return StageSizes(
        search=budget.trials,
        screening=(budget.finalists + len(baselines)) * budget.screening_seeds,
        confirmation=(1 + len(baselines)) * budget.confirmation_seeds,
    )


def _seeds(first: int, count: int) -> tuple[int, ...]:
    return tuple(range(first, first + count))
