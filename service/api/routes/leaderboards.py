"""Leaderboards: methods ranked at equal model, dataset, sparsity and training budget."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from ham.client.records import Leaderboard, Overview, Page
from service.api.dependencies import StorageDep, last_modified
from service.api.errors.problems import documented
from service.api.queries import LeaderboardQuery
from service.domain.evidence import leaderboards
from service.domain.evidence.overview import overview

router = APIRouter(
    prefix="/v1/leaderboards", tags=["leaderboards"], dependencies=[Depends(last_modified)]
)


@router.get("", summary="List leaderboards", responses=documented(422))
def list_leaderboards(
    query: Annotated[LeaderboardQuery, Query()], storage: StorageDep
) -> Page[Leaderboard]:
    """Return leaderboards by name, each of them whole."""
    found = leaderboards.page(storage.recommendations, query.limit + 1, query.cursor or "")
    more = len(found) > query.limit
    found = found[: query.limit]
    return Page(items=found, next_cursor=found[-1].benchmark.name if more else None)


@router.get("/overview", summary="Look at all leaderboards at once")
def get_overview(storage: StorageDep) -> Overview:
    """Return how often tuned HAM wins over no HAM and the paper's default, and who ranks high.

    Settings are compared within a combination, paired by seed. Methods are compared by their
    ranks on the boards that they share.
    """
    return overview(storage.recommendations)


@router.get("/{benchmark}", summary="Show a leaderboard", responses=documented(404, 422))
def get_leaderboard(
    benchmark: Annotated[
        str, Path(description="Its name.", examples=["digits_cnn-digits-0.90-digits@1"])
    ],
    storage: StorageDep,
) -> Leaderboard:
    """Return one ranking. Equal ranks are ties: paired by seed, they are not told apart."""
    return leaderboards.leaderboard(storage.recommendations, benchmark)
