"""Plans: all trainings of a study, fixed before the first one begins."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ham.client.records import Budget, Plan
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, HamConfig
from ham.errors import IncompatibleCombination, InvalidConfig, UnknownName
from service.domain.planning.plans import resolve
from service.domain.planning.stage_sizes import stage_sizes
from tests.service.builders import a_plan, a_request
from tests.service.domain.search.history import whole_study

budgets = st.builds(
    Budget,
    trials=st.integers(1, 10_000),
    finalists=st.integers(1, 20),
    screening_seeds=st.integers(1, 100),
    confirmation_seeds=st.integers(3, 100),
)


@given(budgets)
def test_seeds_of_the_stages_are_disjoint(budget: Budget) -> None:
    plan = a_plan(budget=budget)
    stages = (plan.search_seeds, plan.screening_seeds, plan.confirmation_seeds)
    assert len(plan.screening_seeds) >= (budget.screening_seeds + 1) // 2
    assert len(plan.confirmation_seeds) == budget.confirmation_seeds
    assert len({seed for seeds in stages for seed in seeds}) == sum(map(len, stages))


def test_larger_budgets_add_seeds_and_keep_the_first() -> None:
    small, large = (
        a_plan(budget=Budget(screening_seeds=seeds, confirmation_seeds=seeds)) for seeds in (3, 9)
    )
    assert large.screening_seeds[: len(small.screening_seeds)] == small.screening_seeds
    assert large.confirmation_seeds[:3] == small.confirmation_seeds


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 6), st.integers(1, 3), st.integers(3, 4), st.integers(6, 7))
def test_expected_runs_are_those_that_run(
    finalists: int, screening: int, confirmation: int, trials: int
) -> None:
    budget = Budget(
        trials=trials,
        finalists=finalists,
        screening_seeds=screening,
        confirmation_seeds=confirmation,
    )
    plan = a_plan(budget=budget)
    proposed = [HamConfig(alpha=2.0**number, beta=0.01) for number in range(trials)]
    runs = whole_study(plan, proposed, lambda job: (0.9, 0.9))
    assert len(runs) == sum(stage_sizes(budget, plan.baselines)) == plan.expected_runs
    assert len(runs) <= trials + (finalists + 2) * screening + 3 * confirmation
    assert plan.expected_epochs == plan.expected_runs * plan.recipe.epochs


def test_expected_epochs_count_every_training_of_iterative_pruning() -> None:
    plan = a_plan(sparsifier="lrr", sparsity=0.9)
    assert plan.run_epochs == 12 * plan.recipe.epochs
    assert plan.expected_epochs == plan.expected_runs * plan.run_epochs


def test_plan_without_a_confirmation_runs_none() -> None:
    plan = a_plan(budget=Budget(confirmation_seeds=0))
    assert plan.confirmation_seeds == ()
    assert stage_sizes(plan.budget, plan.baselines).confirmation == 0
    with pytest.raises(ValueError, match="confirmation_seeds"):
        Budget(confirmation_seeds=2)


def test_plan_is_the_same_whenever_and_wherever_it_is_made() -> None:
    plan = a_plan()
    assert plan == a_plan()
    assert plan == Plan.model_validate_json(plan.model_dump_json())
    assert plan.sampler_seed != a_plan(sparsity=0.8).sampler_seed


def test_plan_stored_before_recipes_named_a_preset_is_read() -> None:
    stored = a_plan().model_dump(mode="json")
    del stored["recipe"]["sparsifier_preset"]
    assert Plan.model_validate(stored) == a_plan()


def test_plan_takes_the_default_recipe_and_compares_with_both_baselines() -> None:
    plan = a_plan()
    assert plan.combination.recipe == plan.recipe.id == "digits@1"
    assert plan.baselines == (RECIPE_BASELINE, PAPER_DEFAULT)
    assert a_plan(recipe="digits@1") == plan


@pytest.mark.parametrize(
    "changes, error, field",
    [
        ({"model": "digits_cmm"}, UnknownName, "model"),
        ({"dataset": "digit"}, UnknownName, "dataset"),
        ({"sparsifier": "riggle"}, UnknownName, "sparsifier"),
        ({"optimizer": "sdg"}, UnknownName, "optimizer"),
        ({"recipe": "digits@0"}, UnknownName, "recipe"),
        ({"sparsity": 1.0}, InvalidConfig, "sparsity"),
        ({"sparsity": -0.1}, InvalidConfig, "sparsity"),
        ({"sparsity": float("nan")}, InvalidConfig, "sparsity"),
        ({"sparsifier": "dense"}, IncompatibleCombination, "sparsity"),
    ],
    ids=str,
)
def test_name_that_the_catalog_does_not_have_is_refused_by_field(
    changes: dict[str, object], error: type[InvalidConfig], field: str
) -> None:
    with pytest.raises(error) as caught:
        resolve(a_request(**changes))
    assert caught.value.field == field
    assert repr(caught.value.value) in str(caught.value)
