"""Fronts as they are read: apart from how they are reached, which takes scikit-learn."""

from __future__ import annotations

from ham.client.records import ParetoFront
from service.domain.ports import StudiesWithFronts
from service.errors import NotFound


def stored_pareto_front(storage: StudiesWithFronts, study_id: str) -> ParetoFront:
    """Return the stored front of a study.

    Raises:
        NotFound: there is no such study, or it has none; the message says why.
    """
    study = storage.studies.get(study_id)
    if (found := storage.fronts.of_study(study_id)) is not None:
        return found
    if not study.plan.is_multi_objective:
        raise NotFound(
            f"study {study_id} has one objective: its result is a recommendation; a front needs "
            "`objectives` of two"
        )
    raise NotFound(
        f"study {study_id} is {study.state.value}; it has a front once it has succeeded"
    )
