"""Logs of studies and of runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse
from pydantic import Field

from ham.client.records import LogLevel, LogLine, Page
from service.api.dependencies import RunId, StorageDep, StudyId
from service.api.errors.problems import documented
from service.api.pagination import PageQuery, limit_field, number_cursor, page_of
from service.api.runner_output import tail
from service.storage import Storage

router = APIRouter(prefix="/v1")


class LogQuery(PageQuery):
    """A page of a log, and the lowest level of its lines."""

    level: LogLevel = Field(
        LogLevel.DEBUG, description="Only lines of this level or a higher one."
    )
    limit: int = limit_field(200, largest=1000, of="Lines")
    cursor: str | None = number_cursor(digits=18)


@router.get(
    "/studies/{study_id}/logs",
    summary="Show the log of a study",
    tags=["studies"],
    responses=documented(404, 422),
)
def get_study_logs(
    study_id: StudyId, query: Annotated[LogQuery, Query()], storage: StorageDep
) -> Page[LogLine]:
    """Return the log lines of its runners, oldest first; lines about a run have its `run_id`.

    `hamtune clean` removes the lines of studies that ended long ago.
    """
    storage.studies.get(study_id)  # an unknown study is NotFound, not an empty list
    return _page(storage, query, study_id=study_id)


@router.get(
    "/runs/{run_id}/logs",
    summary="Show the log of a run",
    tags=["runs"],
    responses=documented(404, 422),
)
def get_run_logs(
    run_id: RunId, query: Annotated[LogQuery, Query()], storage: StorageDep
) -> Page[LogLine]:
    """Return the log lines of one run, oldest first, with the traceback of an error."""
    storage.runs.get(run_id)
    return _page(storage, query, run_id=run_id)


@router.get(
    "/studies/{study_id}/output",
    summary="Show the raw output of a study",
    tags=["studies"],
    response_class=PlainTextResponse,
    responses=documented(404, 422),
)
def get_output(
    study_id: StudyId,
    request: Request,
    storage: StorageDep,
    limit: Annotated[
        int, Query(ge=1, le=2**20, description="Bytes at most, counted from the end.")
    ] = 2**16,
) -> str:
    """Return the end of the output of its runners and their libraries, as text.

    It exists only if the scheduler shares the data folder with this API.
    """
    return tail(request.app.state.settings.data_dir, storage.studies.get(study_id).id, limit)


def _page(
    storage: Storage, query: LogQuery, study_id: str | None = None, run_id: str | None = None
) -> Page[LogLine]:
    after = int(query.cursor or 0)
    return page_of(
        lambda limit: storage.logs.page(
            study_id=study_id, run_id=run_id, least=query.level, limit=limit, after=after
        ),
        limit=query.limit,
        cursor=lambda line: line.id,
    )
