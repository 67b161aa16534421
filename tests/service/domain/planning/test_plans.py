"""Plans: all trainings of a study, fixed before the first one begins."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from ham.client.records import Budget, BudgetChange, Plan, Purpose, Run
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, HamConfig
from ham.errors import IncompatibleCombination, InvalidConfig, UnknownName
from service.domain.planning.plans import rebudget, resolve, stage_sizes
from service.errors import Conflict
from tests.service.builders import a_job, a_plan, a_request, a_run
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


SEARCHED = [a_run(a_job(), 0.9)]
BASELINES_SCREENED = [*SEARCHED, a_run(a_job(Purpose.SCREENING, RECIPE_BASELINE), 0.9)]
FINALISTS_SCREENED = [*BASELINES_SCREENED, a_run(a_job(Purpose.SCREENING), 0.9)]
CONFIRMED = [*FINALISTS_SCREENED, a_run(a_job(Purpose.CONFIRMATION), 0.9)]
HISTORIES: tuple[list[Run], ...] = (
    [],
    SEARCHED,
    BASELINES_SCREENED,
    FINALISTS_SCREENED,
    CONFIRMED,
)
FIXED_FROM: dict[str, tuple[object, list[Run], str]] = {
    "trials": (9, FINALISTS_SCREENED, "the finalists were chosen from the trials"),
    "early_stopping": ("asha", SEARCHED, "one rule judges all trials"),
    "max_epochs": (100_000, CONFIRMED, "a cap could end the confirmation where it looks good"),
    "max_seconds": (60.0, CONFIRMED, "a cap could end the confirmation where it looks good"),
    "finalists": (3, FINALISTS_SCREENED, "their rounds have begun"),
    "screening_seeds": (2, BASELINES_SCREENED, "all configurations share the screening's seeds"),
    "confirmation_seeds": (5, CONFIRMED, "all configurations share the confirmation's seeds"),
}
"""Another value of each part of a budget, the shortest history that fixes the part, and why."""


def test_every_part_of_a_budget_can_change() -> None:
    assert [*BudgetChange.model_fields] == [*Budget.model_fields]
    assert FIXED_FROM.keys() == Budget.model_fields.keys()
    for name, field in BudgetChange.model_fields.items():
        of_budget = Budget.model_fields[name]
        assert field.description == of_budget.description
        assert field.default is None, "null leaves a part as it is: a cap is raised, not removed"


@pytest.mark.parametrize("name", FIXED_FROM)
def test_part_of_a_budget_changes_until_a_training_that_depends_on_it_begins(name: str) -> None:
    plan = a_plan(budget=Budget())
    value, fixing, _ = FIXED_FROM[name]
    change = BudgetChange.model_validate({name: value})
    for runs in HISTORIES:
        if len(runs) < len(fixing):
            assert getattr(rebudget(plan, change, runs).budget, name) == value
        else:
            with pytest.raises(Conflict, match=f"{name} cannot change any more"):
                rebudget(plan, change, runs)
    same = BudgetChange.model_validate({name: getattr(plan.budget, name)})
    assert rebudget(plan, same, CONFIRMED) == plan, "the value that it has is no change"


def is_valid(record: type[BaseModel], name: str, value: object) -> bool:
    try:
        record.model_validate({name: value})
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", FIXED_FROM)
def test_change_takes_the_values_that_the_budget_takes(name: str) -> None:
    values = (-1, 0, 1, 2, 3, 21, 101, 10_001, 0.5, math.inf, "auto", "asha", "unknown")
    valid = [is_valid(Budget, name, value) for value in values]
    assert any(valid) and not all(valid)
    assert [is_valid(BudgetChange, name, value) for value in values] == valid


def test_changed_early_stopping_has_another_rule_in_the_plan() -> None:
    plan = a_plan()
    assert plan.early_stopping == "none"
    changed = rebudget(plan, BudgetChange(early_stopping="median"), [])
    assert (changed.early_stopping, changed.budget.early_stopping) == ("median", "median")
    assert rebudget(changed, BudgetChange(early_stopping="auto"), []).early_stopping == "none"
    stored = changed.model_copy(update={"early_stopping": "asha"})
    assert rebudget(stored, BudgetChange(trials=9), SEARCHED).early_stopping == "asha"
    two = a_plan(
        objectives=("accuracy", "sparsity"), sparsities=(0.5, 0.9), sparsity=0.0, budget=Budget()
    )
    with pytest.raises(InvalidConfig, match="none with two objectives"):
        rebudget(two, BudgetChange(early_stopping="asha"), [])


def test_confirmation_can_be_left_out_before_it_begins_and_added_before_the_screening() -> None:
    plan = a_plan(budget=Budget())
    without = rebudget(plan, BudgetChange(confirmation_seeds=0), FINALISTS_SCREENED)
    assert (without.confirmation_seeds, without.budget.confirmation_seeds) == ((), 0)
    added = rebudget(without, BudgetChange(confirmation_seeds=20), SEARCHED)
    assert added == plan
    with pytest.raises(Conflict, match="confirmation_seeds cannot change any more"):
        rebudget(without, BudgetChange(confirmation_seeds=20), BASELINES_SCREENED)


def test_cap_that_leaves_no_search_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="max_epochs"):
        rebudget(a_plan(), BudgetChange(max_epochs=1), SEARCHED)
