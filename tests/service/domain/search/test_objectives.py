"""Two objectives: which requests are allowed, and the Pareto order."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ham.client.records import Budget, BudgetChange, Plan, StoredMeasures
from ham.config import RECIPE_BASELINE
from ham.errors import InvalidConfig
from service.domain.planning.budget_changes import rebudget
from service.domain.planning.stage_sizes import sizes_of
from service.domain.search.objectives import (
    Values,
    crowding,
    dominates,
    generation_size,
    non_dominated,
    nsga2_order,
    value_of,
)
from tests.service.builders import a_plan

LEVELS = (0.9, 0.5, 0.8)
TWO: dict[str, Any] = {
    "objectives": ("accuracy", "sparsity"),
    "sparsities": LEVELS,
    "sparsity": 0.0,
    "budget": Budget(trials=32),
}
grid = st.integers(0, 4).map(float)  # few values, so that ties are common
points = st.lists(st.tuples(grid, grid), min_size=1, max_size=12)


def chosen(values: list[Values]) -> Counter[Values]:
    return Counter(values[index] for index in non_dominated(values))


@given(points)
def test_the_pareto_front_is_exactly_what_no_other_dominates(values: list[Values]) -> None:
    front = set(non_dominated(values))
    for index, own in enumerate(values):
        better = [v for v in values if v != own and v[0] >= own[0] and v[1] >= own[1]]
        assert (index in front) == (not better)
    assert front, "it is never empty"


@given(points, st.tuples(grid, grid), st.integers(0, 12))
def test_a_dominated_value_changes_nothing(values: list[Values], more: Values, at: int) -> None:
    grown = [*values[:at], more, *values[at:]]
    if any(dominates(own, more) for own in values):
        assert chosen(grown) == chosen(values)
    else:
        assert more in chosen(grown)


@given(points.flatmap(lambda values: st.tuples(st.just(values), st.permutations(values))))
def test_the_order_of_the_values_does_not_matter(both: tuple[list[Values], list[Values]]) -> None:
    values, other = both
    assert chosen(values) == chosen(other)
    assert [values[index] for index in nsga2_order(values)] == [
        other[index] for index in nsga2_order(other)
    ]


@given(points)
def test_order_has_every_value_once_and_never_the_dominated_first(values: list[Values]) -> None:
    order = nsga2_order(values)
    assert sorted(order) == list(range(len(values)))
    for position, index in enumerate(order):
        assert not any(dominates(values[index], values[other]) for other in order[:position])


def test_the_least_crowded_of_a_front_come_first() -> None:
    line = [(0.0, 10.0), (1.0, 9.0), (2.0, 8.0), (6.0, 4.0), (10.0, 0.0)]
    assert crowding(line) == pytest.approx([math.inf, 0.4, 1.0, 1.6, math.inf])
    assert nsga2_order(line) == [0, 4, 3, 2, 1]


def test_values_are_those_measured() -> None:
    measures = StoredMeasures.read(
        {"sparsity": {"realised": 0.89}, "training_flops": 12, "inference_flops": math.nan}
    )
    assert value_of("accuracy", 0.7, measures) == 0.7
    assert value_of("sparsity", 0.7, measures) == 0.89
    assert value_of("training_flops", 0.7, measures) == 12
    assert value_of("inference_flops", 0.7, measures) is None
    assert value_of("sparsity", 0.7, StoredMeasures()) is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sparsifier": "dense"}, "sparsifier"),
        ({"sparsity": 0.9}, "sparsity"),
        ({"sparsities": ()}, "sparsities"),
        ({"sparsities": (0.9,)}, "sparsities"),
        ({"sparsities": (0.9, 0.9)}, "sparsities"),
        ({"sparsities": (0.9, 1.0)}, "sparsity"),
        ({"sparsities": (-0.1, 0.9)}, "sparsity"),
        ({"objectives": ("accuracy", "accuracy")}, "objectives"),
        ({"objectives": ("sparsity", "training_flops")}, "objectives"),
        ({"objectives": ("sparsity",)}, "objectives"),
        ({"objectives": ("accuracy",)}, "sparsities"),
        ({"objectives": ("accuracy",), "sparsities": (), "sampler": "nsga2"}, "sampler"),
        ({"tune": ("learning_rate",)}, "tune"),
        ({"budget": Budget(early_stopping="asha")}, "early_stopping"),
        ({"sampler": "gp"}, "sampler"),
        ({"sampler": "grid"}, "sampler"),
        ({"budget": Budget(trials=3)}, "trials"),
        ({"budget": Budget(max_epochs=100)}, "max_epochs"),
        ({"sparsifier": "spred"}, "sparsifier"),
    ],
    ids=str,
)
def test_invalid_request_with_two_objectives_is_refused_by_field(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidConfig) as caught:
        a_plan(**(TWO | changes))
    assert caught.value.field == field


def test_plan_of_two_objectives_fixes_levels_sampler_and_baseline() -> None:
    plan = a_plan(**TWO)
    assert plan.is_multi_objective and plan.sparsities == (0.5, 0.8, 0.9)
    assert plan.combination.sparsity == 0.5
    assert plan.slug == "digits_cnn-digits/random-0.50,0.80,0.90/sgd"
    assert (plan.sampler, plan.early_stopping, plan.transfer) == ("tpe", "none", False)
    assert plan.baselines == (RECIPE_BASELINE,)
    assert a_plan(**TWO, sampler="nsga2").sampler == "nsga2"
    turned = a_plan(**(TWO | {"objectives": ("inference_flops", "accuracy")}))
    assert turned.objectives == ("accuracy", "inference_flops")
    assert plan == Plan.model_validate_json(plan.model_dump_json())


def test_budget_of_two_objectives_counts_the_baseline_at_every_sparsity() -> None:
    budget = Budget(trials=10, finalists=4, screening_seeds=3, confirmation_seeds=5)
    plan = a_plan(**(TWO | {"budget": budget}))
    assert tuple(sizes_of(plan)) == (10, (4 + 3) * 3, (4 + 3) * 5)
    assert plan.expected_runs == 66
    assert plan.expected_epochs == 66 * plan.recipe.epochs
    assert (len(plan.screening_seeds), len(plan.confirmation_seeds)) == (3, 5)
    capped = rebudget(plan, BudgetChange(max_epochs=62 * 15), [])
    assert capped.expected_epochs == 62 * 15
    assert capped.objectives == plan.objectives
    with pytest.raises(InvalidConfig, match="4 search trials"):
        rebudget(plan, BudgetChange(max_epochs=59 * 15), [])


def test_runs_of_iterative_pruning_are_planned_at_the_longest() -> None:
    plan = a_plan(**(TWO | {"sparsifier": "lrr"}))
    each = [combination.epochs(plan.recipe) for combination in plan.combinations]
    assert each == sorted(each) and each[0] < each[-1] == plan.run_epochs


@pytest.mark.parametrize(("trials", "levels", "size"), [(32, 3, 8), (12, 5, 10), (1000, 3, 50)])
def test_several_generations_fit_into_the_trials(trials: int, levels: int, size: int) -> None:
    sparsities = tuple(round(0.4 + 0.05 * level, 2) for level in range(levels))
    plan = a_plan(**(TWO | {"budget": Budget(trials=trials), "sparsities": sparsities}))
    assert generation_size(plan) == size
