"""Pareto fronts, the results of studies with two objectives."""

from __future__ import annotations

from fastapi import APIRouter

from ham.client.records import ParetoFront
from service.api.dependencies import StorageDep, StudyId
from service.api.errors.problems import documented
from service.domain.evidence.stored_pareto_fronts import stored_pareto_front

router = APIRouter(prefix="/v1/studies", tags=["studies"])


@router.get(
    "/{study_id}/front", summary="Show the Pareto front of a study", responses=documented(404, 422)
)
def show_front(study_id: StudyId, storage: StorageDep) -> ParetoFront:
    """Return the configurations, at their sparsities, that no other beats in both objectives.

    A study with two `objectives` has a Pareto front once it has succeeded. Its points were chosen
    on validation data. Test accuracies and gains over the baseline come from further seeds.
    """
    return stored_pareto_front(storage, study_id)
