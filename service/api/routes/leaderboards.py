"""Leaderboards: methods ranked at equal model, dataset, sparsity and training budget."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field

from ham.client.records import Leaderboard, Overview, Page
from service.api.dependencies import StorageDep, last_modified
from service.api.errors.problems import documented
from service.api.pagination import PageQuery, limit_field, page_of
from service.domain.evidence import leaderboards
from service.domain.evidence.overview import overview

router = APIRouter(
    prefix="/v1/leaderboards", tags=["leaderboards"], dependencies=[Depends(last_modified)]
)


class LeaderboardQuery(PageQuery):
    """A page of the list of leaderboards."""

    limit: int = limit_field(20, largest=100, of="Leaderboards")
    cursor: str | None = Field(
        None,
        max_length=300,
        description="The `next_cursor` of the page before.",
        examples=["digits_cnn-digits-0.90-digits@1"],
    )


@router.get("", summary="List leaderboards", responses=documented(422))
def list_leaderboards(
    query: Annotated[LeaderboardQuery, Query()], storage: StorageDep
) -> Page[Leaderboard]:
    """Return whole leaderboards, sorted by name."""
    return page_of(
        lambda limit: leaderboards.page(storage.recommendations, limit, query.cursor or ""),
        limit=query.limit,
        cursor=lambda board: board.benchmark.name,
    )


@router.get("/overview", summary="Summarize all leaderboards")
def get_overview(storage: StorageDep) -> Overview:
    """Return how often tuned HAM beats the baseline and the paper's default, and mean ranks.

    Configurations are compared within a combination, paired by seed. Methods are compared by
    their ranks on the leaderboards that they share.
    """
    return overview(storage.recommendations)


@router.get("/{benchmark}", summary="Show a leaderboard", responses=documented(404, 422))
def get_leaderboard(
    benchmark: Annotated[
        str,
        Path(description="Name of the benchmark.", examples=["digits_cnn-digits-0.90-digits@1"]),
    ],
    storage: StorageDep,
) -> Leaderboard:
    """Return one leaderboard.

    Equal ranks are ties: the 95 % interval of their difference, paired by seed, includes zero.
    """
    return leaderboards.leaderboard(storage.recommendations, benchmark)
