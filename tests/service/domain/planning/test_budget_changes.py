"""Changes of a budget: which parts can change, and until when."""

from __future__ import annotations

import math

import pytest
from pydantic import BaseModel, ValidationError

from ham.client.records import Budget, BudgetChange, Purpose, Run
from ham.config import RECIPE_BASELINE
from ham.errors import InvalidConfig
from service.domain.planning.budget_changes import rebudget
from service.errors import Conflict
from tests.service.builders import a_job, a_plan, a_run

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


def test_limit_that_leaves_no_search_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="max_epochs"):
        rebudget(a_plan(), BudgetChange(max_epochs=1), SEARCHED)
