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
    """What to export, and how it is written."""

    format: Format = Field(Format.JSONL, description="How it is written.")
    purpose: Purpose | None = Field(None, description="Of runs: only this stage.")


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
    """Return all rows that match, however many: nothing is cut off, nothing is kept in memory.

    `runs` are this service's own trainings and `curves` their epochs; `external-runs` were made
    elsewhere and `published` were reported by others, and both name their source. `fronts` has a
    row per point of each Pareto front. `leaderboards` and `published` take no filter but model and
    dataset, `fronts` all but the sparsity, `events` and `sweeps` none.
    """
    selection = Selection(check_names(query.combinations()), query.purpose)
    columns, read = EXPORTS[table]
    pages = read(storage, selection, columns.row)
    name = f"hamtune-{table.value}.{query.format.value}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    content = write_table(pages, columns.columns, query.format)
    first = next(content, b"")  # before the status goes out: the database may be away
    content = chain((first,), content)
    return StreamingResponse(content, media_type=MEDIA_TYPES[query.format], headers=headers)
