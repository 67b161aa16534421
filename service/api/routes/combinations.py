"""Combinations, and every version of their recommendations."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from ham.client.records import CombinationEntry, Page, Recommendation
from service.api.dependencies import StorageDep, check_names
from service.api.errors.problems import documented
from service.api.queries import CombinationListQuery, VersionQuery

router = APIRouter(prefix="/v1/combinations", tags=["recommendations"])

CombinationId = Annotated[
    int, Path(ge=1, le=2**31 - 1, description="Id of a combination.", examples=[1])
]


@router.get(
    "",
    summary="List combinations",
    responses=documented(422),
)
def list_combinations(
    query: Annotated[CombinationListQuery, Query()], storage: StorageDep
) -> Page[CombinationEntry]:
    """Return the combinations that were ever asked for, oldest first, and how often."""
    found = storage.combinations.list(
        check_names(query.combinations()), limit=query.limit + 1, after=int(query.cursor or 0)
    )
    more = len(found) > query.limit
    found = found[: query.limit]
    return Page(items=found, next_cursor=str(found[-1].id) if more else None)


@router.get(
    "/{combination_id}",
    summary="Show a combination",
    responses=documented(404, 422),
)
def get_combination(combination_id: CombinationId, storage: StorageDep) -> CombinationEntry:
    """Return a combination, and how often it was tuned."""
    return storage.combinations.get(combination_id)


@router.get(
    "/{combination_id}/recommendations",
    summary="Show the versions of a recommendation",
    responses=documented(404, 422),
)
def list_versions(
    combination_id: CombinationId, query: Annotated[VersionQuery, Query()], storage: StorageDep
) -> Page[Recommendation]:
    """Return the recommendations that a combination ever had, newest first. None ever changes."""
    storage.combinations.get(combination_id)
    found = storage.recommendations.history(
        combination_id,
        limit=query.limit + 1,
        before=None if query.cursor is None else int(query.cursor),
    )
    more = len(found) > query.limit
    found = found[: query.limit]
    return Page(items=found, next_cursor=str(found[-1].version) if more else None)
