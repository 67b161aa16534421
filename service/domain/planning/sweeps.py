"""From a sweep to its studies: every valid combination that has not been tuned yet."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

from ham.catalog import DATASETS, MODELS, OPTIMIZERS, SPARSIFIERS
from ham.client.records import LeftOut, Plan, Recommendation, StudyRequest, SweepRequest
from ham.client.records.sweeps import MOST_COMBINATIONS
from ham.errors import IncompatibleCombination, InvalidConfig
from search_spaces import JOINT, SCHEDULED
from service.domain.planning.plans import resolve

SHARED = {*SweepRequest.model_fields} & {*StudyRequest.model_fields} - {"sparsities"}
"""Fields that every study of a sweep takes over; ``sparsities`` is a list of combinations here."""


class Expansion(NamedTuple):
    """The studies of a sweep.

    Attributes:
        planned: the request and the plan of each study.
        left_out: combinations without a study, with the reasons.
    """

    planned: list[tuple[StudyRequest, Plan]]
    left_out: list[LeftOut]


def expand(request: SweepRequest, known: Iterable[Recommendation] = ()) -> Expansion:
    """Return the studies of a sweep, and the combinations that it leaves out.

    Args:
        request: the lists of names.
        known: the newest recommendation of each combination. A combination whose recommendation
            answers the request is left out, unless the request forces it. A new version of a
            recipe is a new combination.

    Raises:
        InvalidConfig: a name is unknown, there are too many combinations, or none of them is
            valid.
    """
    answered = {
        recommendation.combination.key
        for recommendation in known
        if _answers(recommendation, request)
    }
    planned: list[tuple[StudyRequest, Plan]] = []
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    first_refusal: InvalidConfig | None = None
    for study in _studies(request):
        try:
            plan = resolve(study)
        except IncompatibleCombination as error:
            first_refusal = first_refusal or error
            left_out.append(_left_out(study, str(error)))
            continue
        key = plan.combination.key
        if key in seen:
            continue
        seen.add(key)
        if key in answered and not request.force:
            left_out.append(_left_out(study, f"already tuned at recipe {plan.combination.recipe}"))
        else:
            planned.append((study, plan))
    if not seen and first_refusal is not None:
        raise first_refusal
    return Expansion(planned, left_out)


def _answers(known: Recommendation, request: SweepRequest) -> bool:
    """Tell whether a recommendation tuned all that is asked, under the same fixed schedules."""
    return all(getattr(known, name) is not None for name in JOINT if name in request.tune) and all(
        name in known.tuned_schedules
        or (name not in request.tune and getattr(known.candidate, name) == getattr(request, name))
        for name in SCHEDULED
    )


def _studies(request: SweepRequest) -> list[StudyRequest]:
    for registry, names in (
        (MODELS, request.models),
        (DATASETS, request.datasets),
        (SPARSIFIERS, request.sparsifiers),
        (OPTIMIZERS, request.optimizers),
    ):
        for name in names:
            registry.get(name)
    methods = [
        (sparsifier, sparsity)
        for sparsifier in request.sparsifiers
        for sparsity in (
            request.sparsities if SPARSIFIERS.get(sparsifier).takes_sparsity else (0.0,)
        )
    ]
    combinations = list(product(request.models, request.datasets, methods, request.optimizers))
    if len(combinations) > MOST_COMBINATIONS:
        raise InvalidConfig(
            "models",
            len(combinations),
            f"a sweep has at most {MOST_COMBINATIONS} combinations; submit several",
        )
    shared = {name: getattr(request, name) for name in SHARED}
    return [
        StudyRequest(
            model=model,
            dataset=dataset,
            sparsifier=sparsifier,
            sparsity=sparsity,
            optimizer=optimizer,
            **shared,
        )
        for model, dataset, (sparsifier, sparsity), optimizer in combinations
    ]


def _left_out(study: StudyRequest, reason: str) -> LeftOut:
    return LeftOut(**study.model_dump(include=set(LeftOut.model_fields)), reason=reason)
