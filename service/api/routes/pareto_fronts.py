"""The Pareto front that a study of two objectives ends with."""

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
    """Return the settings at their sparsities that no other tried betters in both objectives.

    A study has one once it has succeeded, if it was asked for two `objectives`. Who is on it was
    decided on validation data; test accuracies and gains over no HAM come from further seeds.
    """
    return stored_pareto_front(storage, study_id)
