"""The picture of a study's Pareto front."""

from __future__ import annotations

from fastapi import APIRouter, Response

from service.api.dependencies import StorageDep, StudyId
from service.domain.evidence.plots import pareto_front_plot
from service.domain.evidence.stored_pareto_fronts import stored_pareto_front
from service.web.templating import PICTURE_HEADERS

router = APIRouter()


@router.get("/studies/{study_id}/front.svg")
def show_pareto_front(study_id: StudyId, storage: StorageDep) -> Response:
    """Draw the Pareto front of a study. Raises NotFound."""
    drawn = pareto_front_plot(stored_pareto_front(storage, study_id))
    return Response(drawn, headers=PICTURE_HEADERS, media_type="image/svg+xml")
