"""Sweeps: one request that becomes a study of each of many combinations."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from ham.client.records import Page, Sweep, SweepRequest, SweepView
from service.api.dependencies import (
    HighestPriority,
    IdempotencyKey,
    PrincipalDep,
    StorageDep,
    SubmitterDep,
)
from service.api.errors.problems import documented
from service.api.pagination import EXAMPLE_ULID, ULID, PageQuery, id_cursor, limit_field, page_of
from service.domain.planning.permissions import require_priority
from service.domain.planning.sweeps import expand
from service.storage import Storage

router = APIRouter(prefix="/v1/sweeps", tags=["sweeps"])

SweepId = Annotated[
    str,
    Path(
        pattern=f"^sweep_{ULID}$",
        description="Id of a sweep.",
        examples=[f"sweep_{EXAMPLE_ULID}"],
    ),
]


class SweepQuery(PageQuery):
    """A page of the list of sweeps."""

    limit: int = limit_field(50, largest=200, of="Sweeps")
    cursor: str | None = id_cursor("sweep")


@router.post(
    "",
    summary="Submit a sweep",
    status_code=202,
    response_description="Queued. `Location` is its address.",
    responses={
        200: {"model": SweepView, "description": "This Idempotency-Key was used for it before."},
        **documented(400, 409, 422, 429),
    },
)
def submit_sweep(
    request: SweepRequest,
    response: Response,
    storage: StorageDep,
    submitter: SubmitterDep,
    principal: PrincipalDep,
    highest: HighestPriority,
    idempotency_key: IdempotencyKey = None,
) -> SweepView:
    """Queue one study for every combination of some lists.

    `left_out` names the combinations without a study and the reason: those whose parts cannot be
    combined, and those that are tuned already at this version of their recipe. `force` tunes the
    latter again. All studies are queued, or none.
    """
    require_priority(principal, request.priority, highest)
    planned, left_out = expand(request, storage.recommendations.latest())
    sweep, new = storage.sweeps.submit(
        request, planned, left_out, idempotency_key, submitter=submitter
    )
    response.headers["Location"] = f"/v1/sweeps/{sweep.id}"
    response.status_code = 202 if new else 200
    return _views(storage, [sweep])[0]


@router.get("", summary="List sweeps", responses=documented(422))
def list_sweeps(query: Annotated[SweepQuery, Query()], storage: StorageDep) -> Page[SweepView]:
    """Return sweeps with their progress, newest first."""
    return page_of(
        lambda limit: _views(storage, storage.sweeps.list(limit=limit, before=query.cursor)),
        limit=query.limit,
        cursor=lambda sweep: sweep.id,
    )


@router.get("/{sweep_id}", summary="Show a sweep", responses=documented(404, 422))
def get_sweep(sweep_id: SweepId, storage: StorageDep) -> SweepView:
    """Return a sweep with its progress; `/v1/studies?sweep_id=` lists its studies."""
    return _views(storage, [storage.sweeps.get(sweep_id)])[0]


def _views(storage: Storage, sweeps: list[Sweep]) -> list[SweepView]:
    progress = storage.sweeps.progress([sweep.id for sweep in sweeps])
    return [SweepView(**dict(sweep), progress=progress[sweep.id]) for sweep in sweeps]
