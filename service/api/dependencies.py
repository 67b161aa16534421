"""Dependencies of the routes: the storage, the caller, path parameters and checked names.

Dependencies that only read the application's state are ``async``: FastAPI runs a plain function
in a thread of its own.
"""

from __future__ import annotations

from email.utils import format_datetime
from typing import Annotated

from fastapi import Depends, Header, Path, Request, Response

from ham.catalog import DATASETS, MODELS, OPTIMIZERS, SPARSIFIERS
from ham.client.records import LOCAL, CombinationFilter, Study
from service.api.pagination import EXAMPLE_ULID, ULID
from service.domain.planning.permissions import require_owner
from service.records import Principal
from service.storage import Storage


async def _storage(request: Request) -> Storage:
    storage: Storage = request.app.state.storage
    return storage


StorageDep = Annotated[Storage, Depends(_storage)]


async def _principal(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


PrincipalDep = Annotated[Principal, Depends(_principal)]


async def _submitter(principal: PrincipalDep) -> str:
    """Return the submitter of new studies: the id of the API key, or `local` without keys."""
    return principal.key_id or LOCAL


SubmitterDep = Annotated[str, Depends(_submitter)]


async def _highest_priority(request: Request) -> int:
    highest: int = request.app.state.settings.max_priority
    return highest


HighestPriority = Annotated[int, Depends(_highest_priority)]
"""The highest priority that a key without the scope `admin` may ask for."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        description="Any text. The same text with the same request, within 30 days, returns the "
        "first answer and creates nothing new; with another request it is a 409.",
        examples=["tune-digits-2026-11-24"],
    ),
]

StudyId = Annotated[
    str,
    Path(
        pattern=f"^study_{ULID}$",
        description="Id of a study.",
        examples=[f"study_{EXAMPLE_ULID}"],
    ),
]
RunId = Annotated[
    str,
    Path(
        pattern=f"^run_{ULID}$",
        description="Id of a run.",
        examples=[f"run_{EXAMPLE_ULID}"],
    ),
]
RecommendationId = Annotated[
    str,
    Path(
        pattern=f"^rec_{ULID}$",
        description="Id of a recommendation.",
        examples=[f"rec_{EXAMPLE_ULID}"],
    ),
]


def _owned_study(study_id: StudyId, storage: StorageDep, principal: PrincipalDep) -> Study:
    """Return a study that the caller may act on."""
    study = storage.studies.get(study_id)
    require_owner(principal, study)
    return study


OwnedStudy = Annotated[Study, Depends(_owned_study)]


def last_modified(response: Response, storage: StorageDep) -> None:
    """Set Last-Modified to the time of the newest recommendation.

    Caches validate by ``ETag``: two recommendations within one second have the same date.
    """
    if (at := storage.recommendations.changed_at()) is not None:
        response.headers["Last-Modified"] = format_datetime(at, usegmt=True)


def check_names(which: CombinationFilter) -> CombinationFilter:
    """Return the filter if every name in it is registered.

    Raises:
        UnknownName: a name is not registered; the message suggests close matches.
    """
    for registry, name in (
        (MODELS, which.model),
        (DATASETS, which.dataset),
        (SPARSIFIERS, which.sparsifier),
        (OPTIMIZERS, which.optimizer),
    ):
        if name is not None:
            registry.get(name)
    return which
