"""Lists across studies: runs, combinations, the versions of a recommendation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from ham.client.records import Benchmark, CombinationEntry, Page, Recommendation, Run
from service.api.dependencies import StorageDep, check_names, last_modified
from service.api.errors.problems import documented
from service.api.queries import CombinationListQuery, RunQuery, VersionQuery

router = APIRouter(prefix="/v1")

CombinationId = Annotated[
    int, Path(ge=1, le=2**31 - 1, description="Id of a combination.", examples=[1])
]


@router.get("/runs", summary="List runs", tags=["runs"], responses=documented(422))
def list_all_runs(query: Annotated[RunQuery, Query()], storage: StorageDep) -> Page[Run]:
    """Return runs of all studies, newest first."""
    runs = storage.runs.page(
        which=check_names(query.combinations()),
        study_id=query.study_id,
        purpose=query.purpose,
        state=query.state,
        limit=query.limit + 1,
        before=query.cursor,
    )
    more = len(runs) > query.limit
    runs = runs[: query.limit]
    return Page(items=runs, next_cursor=runs[-1].id if more else None)


@router.get(
    "/combinations",
    summary="List combinations",
    tags=["recommendations"],
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
    "/combinations/{combination_id}",
    summary="Show a combination",
    tags=["recommendations"],
    responses=documented(404, 422),
)
def get_combination(combination_id: CombinationId, storage: StorageDep) -> CombinationEntry:
    """Return a combination, and how often it was tuned."""
    return storage.combinations.get(combination_id)


@router.get(
    "/combinations/{combination_id}/recommendations",
    summary="Show the versions of a recommendation",
    tags=["recommendations"],
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


@router.get(
    "/benchmarks",
    summary="List benchmarks",
    tags=["catalogue"],
    dependencies=[Depends(last_modified)],
)
def list_benchmarks(storage: StorageDep) -> Page[Benchmark]:
    """Return what there are leaderboards of: each a model, dataset, sparsity and recipe."""
    return Page(items=storage.recommendations.benchmarks())
