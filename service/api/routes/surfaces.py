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
    """Return the expected validation accuracy over a grid of alpha and beta.

    Each value has its standard deviation. The surface was fitted to all search and screening runs
    that its combination had when the recommendation was made, and it never changes. The answer
    also lists the configurations that were tried.
    """
    return storage.recommendations.surface(recommendation_id)
