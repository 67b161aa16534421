"""Results that this service did not measure: reported runs and published numbers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from ham.client.records import ExternalRun, NewExternalRun, Page, PublishedResult
from ham.config import Combination
from search_spaces import recipe_for
from service.api.dependencies import PrincipalDep, StorageDep, check_names
from service.api.errors.problems import documented
from service.api.pagination import id_cursor, limit_field, page_of
from service.api.queries import CombinationQuery
from service.domain.transfer.published import published_results

router = APIRouter(prefix="/v1", tags=["runs"])


class ExternalRunQuery(CombinationQuery):
    """A filter of external runs, and a page of their list."""

    limit: int = limit_field(50, largest=200, of="Runs")
    cursor: str | None = id_cursor("external")


@router.post(
    "/runs",
    summary="Report an external run",
    status_code=201,
    responses=documented(400, 422),
)
def report_run(
    run: NewExternalRun, storage: StorageDep, principal: PrincipalDep, response: Response
) -> ExternalRun:
    """Store a training that was made outside of this service, with its source.

    It is marked `external`, listed and exported. It is never part of a leaderboard or of a
    recommendation, since their runs are paired by seed and trained under equal conditions.
    """
    combination = Combination(
        model=run.model,
        dataset=run.dataset,
        sparsifier=run.sparsifier,
        sparsity=run.sparsity,
        optimizer=run.optimizer,
        recipe=recipe_for(run.dataset, run.recipe).id,
    )
    stored = storage.external_runs.add(run, combination, principal.key_id)
    response.headers["Location"] = "/v1/external-runs"
    return stored


@router.get("/external-runs", summary="List external runs", responses=documented(422))
def list_external_runs(
    query: Annotated[ExternalRunQuery, Query()], storage: StorageDep
) -> Page[ExternalRun]:
    """Return reported runs, newest first, each with its source and its submitter."""
    which = check_names(query.combinations())
    return page_of(
        lambda limit: storage.external_runs.list(which, limit=limit, before=query.cursor),
        limit=query.limit,
        cursor=lambda run: run.id,
    )


@router.get("/published", summary="List published results")
def list_published() -> Page[PublishedResult]:
    """Return the numbers of papers and of their authors' repositories, with their sources.

    They follow other recipes. Leaderboards show them beside the ranking and never rank them.
    """
    return Page(items=list(published_results()))
