"""Studies of two objectives: which requests are allowed, the values of runs, the Pareto order.

Values are oriented so that more is better: values of a minimized objective are negated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ham.catalog import SPARSIFIERS
from ham.client.records import Budget, Objective, Plan, StudyRequest
from ham.client.records.studies import PARETO_ONLY_SAMPLERS, PARETO_SAMPLERS
from ham.errors import InvalidConfig
from ham.results import RunMeasures

MIN_LEVELS = 2
MINIMIZED: tuple[Objective, ...] = ("training_flops", "inference_flops")
MAX_GENERATION = 50

Values = tuple[float, ...]


def check(request: StudyRequest) -> None:
    """Refuse objectives that do not go together with each other or with the rest of a request.

    Raises:
        InvalidConfig: naming the field.
    """
    objectives, levels = request.objectives, request.sparsities
    if "accuracy" not in objectives or len(set(objectives)) < len(objectives):
        raise InvalidConfig(
            "objectives", list(objectives), "accuracy, and beside it at most one other"
        )
    if len(objectives) == 1:
        _check_single(request)
        return
    if not SPARSIFIERS.get(request.sparsifier).takes_sparsity:
        raise InvalidConfig(
            "sparsifier", request.sparsifier, "with two objectives it must take a sparsity"
        )
    if request.sparsity:
        raise InvalidConfig(
            "sparsity", request.sparsity, "with two objectives leave it out, and name `sparsities`"
        )
    if len(levels) < MIN_LEVELS or len(set(levels)) < len(levels):
        raise InvalidConfig(
            "sparsities", list(levels), "with two objectives: 2 to 10 levels, each once"
        )
    if request.tune:
        raise InvalidConfig("tune", list(request.tune), "only a study of accuracy alone can")
    check_early_stopping(request.budget)
    if request.sampler not in PARETO_SAMPLERS:
        raise InvalidConfig(
            "sampler", request.sampler, f"with two objectives: {', '.join(PARETO_SAMPLERS)}"
        )


def check_early_stopping(budget: Budget) -> None:
    """Refuse early stopping in a study of two objectives.

    Raises:
        InvalidConfig: naming the field.
    """
    if budget.early_stopping not in ("auto", "none"):
        raise InvalidConfig(
            "early_stopping",
            budget.early_stopping,
            "none with two objectives: trials of unequal sparsity do not rank at an early epoch",
        )


def _check_single(request: StudyRequest) -> None:
    if request.sparsities:
        raise InvalidConfig(
            "sparsities",
            list(request.sparsities),
            "only with two objectives; a sweep makes a study of each sparsity",
        )
    if request.sampler in PARETO_ONLY_SAMPLERS:
        raise InvalidConfig("sampler", request.sampler, "only with two objectives")


def in_order(objectives: Sequence[Objective]) -> tuple[Objective, ...]:
    """Return the objectives with accuracy first."""
    return ("accuracy", *(name for name in objectives if name != "accuracy"))


def generation_size(plan: Plan) -> int:
    """Return how many trials make a generation of NSGA-II: a quarter of the budget, at most 50.

    The first generation begins with the baseline at every level of sparsity. A generation has at
    least twice as many trials as there are levels, so that the baselines can be crossed with
    configurations that have HAM.
    """
    return min(MAX_GENERATION, max(2 * len(plan.sparsities), plan.budget.trials // 4))


def value_of(objective: Objective, accuracy: float | None, measures: RunMeasures) -> float | None:
    """Return a run's value of an objective, as measured; None where it was not measured."""
    if objective == "accuracy":
        found = accuracy
    elif objective == "sparsity":
        found = measures.realised_sparsity
    else:
        found = getattr(measures, objective)
    return None if found is None or not math.isfinite(found) else float(found)


def oriented(objective: Objective, value: float) -> float:
    """Return a value so that more is better."""
    return -value if objective in MINIMIZED else value


def dominates(one: Values, other: Values) -> bool:
    """Tell whether ``one`` is at least as good in every objective, and better in one."""
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def non_dominated(values: Sequence[Values]) -> list[int]:
    """Return the indices of the values that no other dominates; equal values are all kept."""
    return [
        index
        for index, own in enumerate(values)
        if not any(dominates(other, own) for other in values)
    ]


def nsga2_order(values: Sequence[Values]) -> list[int]:
    """Return all indices in the order of NSGA-II: front by front, the least crowded first.

    The first front has the non-dominated values, the second the non-dominated ones of the rest,
    and so on. Equally crowded values are ordered by themselves, so the result does not depend on
    the order of ``values``.

    Reference: Deb, Pratap, Agarwal and Meyarivan, A fast and elitist multiobjective genetic
    algorithm: NSGA-II, 2002, https://doi.org/10.1109/4235.996017
    """
    left, order = list(range(len(values))), []
    while left:
        front = [left[index] for index in non_dominated([values[index] for index in left])]
        spread = crowding([values[index] for index in front])
        room = dict(zip(front, spread, strict=True))
        order += sorted(front, key=lambda index: (-room[index], values[index]))
        left = [index for index in left if index not in room]
    return order


def crowding(values: Sequence[Values]) -> list[float]:
    """Return the crowding distance of each value: more room is better.

    It is the distance between the next lower and the next higher value, summed over the
    objectives, each in units of its range. It is infinite at both ends of an objective.
    """
    room = [0.0] * len(values)
    for axis in zip(*values, strict=True):
        reach = max(axis) - min(axis)
        for index, own in enumerate(axis):
            below = max((other for other in axis if other < own), default=None)
            above = min((other for other in axis if other > own), default=None)
            if below is None or above is None:
                room[index] = math.inf
            else:
                room[index] += (above - below) / reach
    return room
