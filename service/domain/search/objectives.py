"""Two objectives: what a request may ask for, how runs are valued, and which values dominate.

Values are oriented so that more is better: what is to be small is negated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ham.catalog import SPARSIFIERS
from ham.client.records import Objective, Plan, Sampler, StudyRequest
from ham.errors import InvalidConfig

FEWEST_LEVELS = 2
FRONT_SAMPLERS: tuple[Sampler, ...] = ("tpe", "nsga2", "random")
MINIMIZED: tuple[Objective, ...] = ("training_flops", "inference_flops")
MOST_IN_A_GENERATION = 50

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
    if len(levels) < FEWEST_LEVELS or len(set(levels)) < len(levels):
        raise InvalidConfig(
            "sparsities", list(levels), "with two objectives: 2 to 10 levels, each once"
        )
    if request.tune:
        raise InvalidConfig("tune", list(request.tune), "only a study of accuracy alone can")
    if request.budget.early_stopping not in ("auto", "none"):
        raise InvalidConfig(
            "early_stopping",
            request.budget.early_stopping,
            "none with two objectives: trials of unequal sparsity do not rank at an early epoch",
        )
    if request.sampler not in FRONT_SAMPLERS:
        raise InvalidConfig(
            "sampler", request.sampler, f"with two objectives: {', '.join(FRONT_SAMPLERS)}"
        )


def _check_single(request: StudyRequest) -> None:
    if request.sparsities:
        raise InvalidConfig(
            "sparsities",
            list(request.sparsities),
            "only with two objectives; a sweep makes a study of each sparsity",
        )
    if request.sampler == "nsga2":
        raise InvalidConfig("sampler", "nsga2", "only with two objectives")


def in_order(objectives: Sequence[Objective]) -> tuple[Objective, ...]:
    """Return the objectives with accuracy first."""
    return ("accuracy", *(name for name in objectives if name != "accuracy"))


def generation_size(plan: Plan) -> int:
    """Return how many trials make a generation: four of them fit into the budget.

    No HAM at every level opens the first one; at most half of it, so that there is something to
    cross it with.
    """
    return min(MOST_IN_A_GENERATION, max(2 * len(plan.sparsities), plan.budget.trials // 4))


def value_of(
    objective: Objective, accuracy: float | None, measures: Mapping[str, Any]
) -> float | None:
    """Return what a run reached of an objective, as it is measured; None where it was not."""
    if objective == "accuracy":
        found = accuracy
    elif objective == "sparsity":
        found = measures.get("sparsity", {}).get("realised")
    else:
        found = measures.get(objective)
    return None if found is None or not math.isfinite(found) else float(found)


def oriented(objective: Objective, value: float) -> float:
    """Return a value so that more is better."""
    return -value if objective in MINIMIZED else value


def dominates(one: Values, other: Values) -> bool:
    """Tell whether one is at least as good in every objective, and better in one."""
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def non_dominated(values: Sequence[Values]) -> list[int]:
    """Return the places of the values that no other dominates; equals stand together."""
    return [
        place
        for place, own in enumerate(values)
        if not any(dominates(other, own) for other in values)
    ]


def ranked(values: Sequence[Values]) -> list[int]:
    """Return all places in the order of NSGA-II: front by front, the least crowded first.

    The first front are the non-dominated values, the second those once the first is left out, and
    so on. Equally crowded ones are in the order of their values, so the order in which values come
    does not matter.

    Reference: Deb, Pratap, Agarwal and Meyarivan, A fast and elitist multiobjective genetic
    algorithm: NSGA-II, 2002, https://doi.org/10.1109/4235.996017
    """
    left, order = list(range(len(values))), []
    while left:
        front = [left[place] for place in non_dominated([values[place] for place in left])]
        spread = crowding([values[place] for place in front])
        room = dict(zip(front, spread, strict=True))
        order += sorted(front, key=lambda place: (-room[place], values[place]))
        left = [place for place in left if place not in room]
    return order


def crowding(values: Sequence[Values]) -> list[float]:
    """Return how far apart the neighbours of each value are, summed over the objectives.

    Each objective is measured by its range; the ends of it have infinite room.
    """
    room = [0.0] * len(values)
    for axis in zip(*values, strict=True):
        reach = max(axis) - min(axis)
        for place, own in enumerate(axis):
            below = max((other for other in axis if other < own), default=None)
            above = min((other for other in axis if other > own), default=None)
            if below is None or above is None:
                room[place] = math.inf
            else:
                room[place] += (above - below) / reach
    return room
