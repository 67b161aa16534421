"""Exports of whole tables."""

from __future__ import annotations

from itertools import chain
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from ham.client.records import Purpose
from service.api.dependencies import StorageDep, check_names
from service.api.errors.problems import documented
from service.api.exports.tables import EXPORTS, Selection, Table
from service.api.exports.writers import MEDIA_TYPES, Format, write_table
from service.api.queries import CombinationQuery

router = APIRouter(prefix="/v1/exports", tags=["exports"])


class ExportQuery(CombinationQuery):
    """The rows to export, and their format."""

    format: Format = Field(Format.JSONL, description="Format of the answer.")
    purpose: Purpose | None = Field(None, description="For `runs`: only runs of this stage.")


@router.get(
    "/{table}",
    summary="Export a table",
    response_class=StreamingResponse,
    response_description="The table, streamed.",
    responses={
        200: {"content": {type: {"schema": {"type": "string"}} for type in MEDIA_TYPES.values()}},
        **documented(422),
    },
)
def export(
    table: Table,
    storage: StorageDep,
    query: Annotated[ExportQuery, Query()],
) -> StreamingResponse:
    """Return all rows that match, without a limit; they are streamed.

    `runs` are the trainings of this service and `curves` their epochs. `external-runs` were
    measured elsewhere and `published` results were reported by others; both name their source.
    `fronts` has one row for each point of each Pareto front. `leaderboards` and `published` can
    be filtered by model and dataset only, `fronts` by everything except the sparsity, `events`
    and `sweeps` not at all. New columns are added at the end.
    """
    selection = Selection(check_names(query.combinations()), query.purpose)
    columns, read = EXPORTS[table]
    pages = read(storage, selection, columns.row)
    name = f"hamtune-{table.value}.{query.format.value}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    content = write_table(pages, columns.columns, query.format)
    first = next(content, b"")  # before the status is sent: an unavailable database is a 503
    content = chain((first,), content)
    return StreamingResponse(content, media_type=MEDIA_TYPES[query.format], headers=headers)
