"""Combinations, and every version of their recommendations."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from ham.client.records import CombinationEntry, Page, Recommendation
from service.api.dependencies import StorageDep, check_names
from service.api.errors.problems import documented
from service.api.pagination import PageQuery, limit_field, number_cursor, page_of
from service.api.queries import CombinationQuery

router = APIRouter(prefix="/v1/combinations", tags=["recommendations"])

CombinationId = Annotated[
    int, Path(ge=1, le=2**31 - 1, description="Id of a combination.", examples=[1])
]


class CombinationListQuery(CombinationQuery):
    """A filter of combinations, and a page of their list."""

    limit: int = limit_field(50, largest=500, of="Combinations")
    cursor: str | None = number_cursor()


class VersionQuery(PageQuery):
    """A page of the versions of a recommendation."""

    limit: int = limit_field(50, largest=200, of="Versions")
    cursor: str | None = number_cursor()


@router.get(
    "",
    summary="List combinations",
    responses=documented(422),
)
def list_combinations(
    query: Annotated[CombinationListQuery, Query()], storage: StorageDep
) -> Page[CombinationEntry]:
    """Return the combinations of all studies, oldest first, with counts of their studies."""
    which, after = check_names(query.combinations()), int(query.cursor or 0)
    return page_of(
        lambda limit: storage.combinations.list(which, limit=limit, after=after),
        limit=query.limit,
        cursor=lambda entry: entry.id,
    )


@router.get(
    "/{combination_id}",
    summary="Show a combination",
    responses=documented(404, 422),
)
def get_combination(combination_id: CombinationId, storage: StorageDep) -> CombinationEntry:
    """Return a combination, with counts of its studies and recommendations."""
    return storage.combinations.get(combination_id)


@router.get(
    "/{combination_id}/recommendations",
    summary="Show the versions of a recommendation",
    responses=documented(404, 422),
)
def list_versions(
    combination_id: CombinationId, query: Annotated[VersionQuery, Query()], storage: StorageDep
) -> Page[Recommendation]:
    """Return all recommendations of a combination, newest first. Stored ones never change."""
    storage.combinations.get(combination_id)
    before = None if query.cursor is None else int(query.cursor)
    return page_of(
        lambda limit: storage.recommendations.history(combination_id, limit=limit, before=before),
        limit=query.limit,
        cursor=lambda recommendation: recommendation.version,
    )
