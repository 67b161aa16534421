"""The reproduction bundle of a study."""

from __future__ import annotations

from fastapi import APIRouter, Response

from service.api.dependencies import StorageDep, StudyId
from service.api.errors.problems import documented
from service.domain.evidence.bundle import bundle

router = APIRouter(prefix="/v1/studies", tags=["studies"])

_ZIP = "application/zip"


@router.get(
    "/{study_id}/bundle",
    summary="Download a study's reproduction bundle",
    response_class=Response,
    response_description="A ZIP archive.",
    responses={
        200: {"content": {_ZIP: {"schema": {"type": "string", "format": "binary"}}}},
        **documented(404, 422),
    },
)
def get_bundle(study_id: StudyId, storage: StorageDep) -> Response:
    """Return request, plan, search space, seeds, versions, hardware, runs, plots and a script.

    The script trains the runs behind the result again; it needs `ham` alone.
    """
    study = storage.studies.get(study_id)
    recommendation = storage.recommendations.of_study(study.id)
    pareto_front = storage.pareto_fronts.of_study(study.id)
    content = bundle(study, storage.runs.of_study(study.id), recommendation, pareto_front)
    headers = {"Content-Disposition": f'attachment; filename="{study.id}.zip"'}
    return Response(content, media_type=_ZIP, headers=headers)
