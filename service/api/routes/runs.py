"""Runs and their learning curves."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from ham.client.records import EpochMetrics, Page, Purpose, Run, RunState
from service.api.dependencies import RunId, StorageDep, check_names
from service.api.errors.problems import documented
from service.api.pagination import EXAMPLE_ULID, ULID, id_cursor, limit_field, page_of
from service.api.queries import CombinationQuery

router = APIRouter(prefix="/v1", tags=["runs"])


class RunQuery(CombinationQuery):
    """A filter of runs, and a page of their list."""

    study_id: str | None = Field(
        None,
        pattern=f"^study_{ULID}$",
        description="Only runs of this study.",
        examples=[f"study_{EXAMPLE_ULID}"],
    )
    purpose: Purpose | None = Field(None, description="Only runs of this stage.")
    state: RunState | None = Field(None, description="Only runs in this state.")
    limit: int = limit_field(50, largest=500, of="Runs")
    cursor: str | None = id_cursor("run")


@router.get("/runs", summary="List runs", responses=documented(422))
def list_all_runs(query: Annotated[RunQuery, Query()], storage: StorageDep) -> Page[Run]:
    """Return runs of all studies, newest first."""
    which = check_names(query.combinations())
    return page_of(
        lambda limit: storage.runs.page(
            which=which,
            study_id=query.study_id,
            purpose=query.purpose,
            state=query.state,
            limit=limit,
            before=query.cursor,
        ),
        limit=query.limit,
        cursor=lambda run: run.id,
    )


@router.get("/runs/{run_id}", summary="Show a run", responses=documented(404, 422))
def get_run(run_id: RunId, storage: StorageDep) -> Run:
    """Return one training: its configuration, seed, epochs, metrics and environment."""
    return storage.runs.get(run_id)


@router.get(
    "/runs/{run_id}/curve",
    summary="Show the learning curve of a run",
    responses=documented(404, 422),
)
def get_curve(run_id: RunId, storage: StorageDep) -> Page[EpochMetrics]:
    """Return the metrics of every epoch; the list is empty until the run has ended."""
    return Page(items=storage.runs.curve(run_id))
