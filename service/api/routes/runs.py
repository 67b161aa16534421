"""Runs and their learning curves."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from ham.client.records import EpochMetrics, Page, Run
from service.api.dependencies import RunId, StorageDep, check_names
from service.api.errors.problems import documented
from service.api.queries import RunQuery

router = APIRouter(prefix="/v1", tags=["runs"])


@router.get("/runs", summary="List runs", responses=documented(422))
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


@router.get("/runs/{run_id}", summary="Show a run", responses=documented(404, 422))
def get_run(run_id: RunId, storage: StorageDep) -> Run:
    """Return one training: its setting, seed, fidelity, metrics and environment."""
    return storage.runs.get(run_id)


@router.get(
    "/runs/{run_id}/curve",
    summary="Show the learning curve of a run",
    responses=documented(404, 422),
)
def get_curve(run_id: RunId, storage: StorageDep) -> Page[EpochMetrics]:
    """Return the metrics of every epoch; none before the run has ended."""
    return Page(items=storage.runs.curve(run_id))
