"""The response surface behind a recommendation."""

from __future__ import annotations

from fastapi import APIRouter

from ham.client.records import SurfaceGrid
from service.api.dependencies import RecommendationId, StorageDep
from service.api.errors.problems import documented

router = APIRouter(prefix="/v1/recommendations", tags=["recommendations"])


@router.get(
    "/{recommendation_id}/surface",
    summary="Show the surface behind a recommendation",
    responses=documented(404, 422),
)
def get_surface(recommendation_id: RecommendationId, storage: StorageDep) -> SurfaceGrid:
    """Return expected validation accuracy and its deviation over a grid of alpha and beta.

    It is the surface that the recommendation was made from: fitted to all search and screening
    runs of its combination until then, and never changed. What was tried is listed with it.
    """
    return storage.recommendations.surface(recommendation_id)
