"""Reads a stored Pareto front, without the import of scikit-learn that building one needs."""

from __future__ import annotations

from ham.client.records import ParetoFront
from service.domain.ports import StudiesWithParetoFronts
from service.errors import NotFound


def stored_pareto_front(storage: StudiesWithParetoFronts, study_id: str) -> ParetoFront:
    """Return the stored Pareto front of a study.

    Raises:
        NotFound: there is no such study, or it has no Pareto front; the message says why.
    """
    study = storage.studies.get(study_id)
    if (found := storage.pareto_fronts.of_study(study_id)) is not None:
        return found
    if not study.plan.is_multi_objective:
        raise NotFound(
            f"study {study_id} has one objective: its result is a recommendation; a Pareto front "
            "needs two `objectives`"
        )
    raise NotFound(
        f"study {study_id} is {study.state.value}; it has a Pareto front once it has succeeded"
    )
