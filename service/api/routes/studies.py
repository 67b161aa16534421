"""Studies: submit, plan, list and show them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field

from ham.client.records import (
    EarlyStoppingReport,
    Page,
    PlanView,
    Purpose,
    Run,
    Study,
    StudyRequest,
    StudyState,
    StudyView,
)
from service.api.dependencies import (
    HighestPriority,
    IdempotencyKey,
    PrincipalDep,
    StorageDep,
    StudyId,
    SubmitterDep,
    check_names,
)
from service.api.errors.problems import documented
from service.api.pagination import EXAMPLE_ULID, ULID, PageQuery, id_cursor, limit_field, page_of
from service.api.queries import CombinationQuery
from service.clock import utc_now
from service.domain.planning.estimates import estimate
from service.domain.planning.permissions import require_priority
from service.domain.planning.plans import resolve
from service.domain.planning.progress import no_progress, progress_of
from service.domain.search import early_stopping_report
from service.storage import Storage

router = APIRouter(prefix="/v1/studies", tags=["studies"])

SUBMITTED: dict[int | str, dict[str, Any]] = {
    200: {"model": StudyView, "description": "This Idempotency-Key was used for it before."},
    **documented(400, 409, 422, 429),
}


class StudyQuery(CombinationQuery):
    """A filter of studies, and a page of their list."""

    state: StudyState | None = Field(None, description="Only studies in this state.")
    submitter: str | None = Field(
        None,
        max_length=100,
        pattern="^[0-9A-Za-z_.-]+$",
        description="Only studies of this submitter.",
        examples=[f"key_{EXAMPLE_ULID}"],
    )
    sweep_id: str | None = Field(
        None,
        pattern=f"^sweep_{ULID}$",
        description="Only studies of this sweep.",
        examples=[f"sweep_{EXAMPLE_ULID}"],
    )
    limit: int = limit_field(50, largest=200, of="Studies")
    cursor: str | None = id_cursor("study")


class StudyRunsQuery(PageQuery):
    """A page of the runs of a study."""

    limit: int = limit_field(200, largest=1000, of="Runs")
    cursor: str | None = id_cursor("run")


class StageRunsQuery(StudyRunsQuery):
    """A filter of the runs of a study, and a page of their list."""

    purpose: Purpose | None = Field(None, description="Only runs of this stage.")


@router.post(
    "",
    summary="Submit a study",
    status_code=202,
    response_description="Queued. `Location` is its address; poll it for progress.",
    responses=SUBMITTED,
)
def submit_study(
    request: StudyRequest,
    response: Response,
    storage: StorageDep,
    submitter: SubmitterDep,
    principal: PrincipalDep,
    highest: HighestPriority,
    idempotency_key: IdempotencyKey = None,
) -> StudyView:
    """Queue a study that tunes alpha and beta of one combination.

    The answer comes at once, and the study runs in the background. It has three stages: a search;
    a screening of the best candidates on fresh seeds; and a confirmation on further seeds against
    the baseline, without HAM. `tune` adds learning rate and weight decay, and then the baseline is
    tuned with the same effort; or it adds the schedules of alpha and beta. The result appears
    under `/v1/recommendations` and `/v1/leaderboards`.

    With two `objectives` the study searches over `sparsities` too. Its result is the Pareto front
    at `/v1/studies/{study_id}/front`.
    """
    require_priority(principal, request.priority, highest)
    study, new = storage.studies.submit(
        request, resolve(request), idempotency_key, submitter=submitter
    )
    return submitted(storage, response, study, new)


@router.post("/plan", summary="Show what a study would run", responses=documented(400, 422))
def plan_study(request: StudyRequest, storage: StorageDep) -> PlanView:
    """Check a request and return its plan, without queueing anything (a dry run).

    The plan includes an estimate of wall time and compute, from trainings measured here.
    """
    plan = resolve(request)
    return PlanView(**dict(plan), estimate=estimate(plan, storage.runs))


@router.get("", summary="List studies", responses=documented(422))
def list_studies(query: Annotated[StudyQuery, Query()], storage: StorageDep) -> Page[StudyView]:
    """Return studies with their progress, newest first."""
    which = check_names(query.combinations())

    def read(limit: int) -> list[StudyView]:
        studies = storage.studies.list(
            state=query.state,
            which=which,
            submitter=query.submitter,
            sweep_id=query.sweep_id,
            limit=limit,
            before=query.cursor,
        )
        return views(storage, studies)

    return page_of(read, limit=query.limit, cursor=lambda study: study.id)


@router.get("/{study_id}", summary="Show a study", responses=documented(404, 422))
def get_study(study_id: StudyId, storage: StorageDep) -> StudyView:
    """Return a study with its request, its plan and its progress."""
    return views(storage, [storage.studies.get(study_id)])[0]


@router.get(
    "/{study_id}/trials", summary="List the search runs of a study", responses=documented(404, 422)
)
def list_trials(
    study_id: StudyId, query: Annotated[StudyRunsQuery, Query()], storage: StorageDep
) -> Page[Run]:
    """Return the runs of the search, oldest first, one for each trial."""
    return _runs(storage, study_id, query, Purpose.SEARCH)


@router.get(
    "/{study_id}/early-stopping",
    summary="Show the effect of early stopping",
    responses=documented(404, 422),
)
def show_early_stopping(study_id: StudyId, storage: StorageDep) -> EarlyStoppingReport:
    """Return how well early epochs predict the final accuracy, and the epochs that were saved."""
    return early_stopping_report.report(storage.studies.get(study_id), storage.runs)


@router.get("/{study_id}/runs", summary="List the runs of a study", responses=documented(404, 422))
def list_runs(
    study_id: StudyId, query: Annotated[StageRunsQuery, Query()], storage: StorageDep
) -> Page[Run]:
    """Return the runs of all stages, oldest first."""
    return _runs(storage, study_id, query, query.purpose)


def _runs(
    storage: Storage, study_id: str, query: StudyRunsQuery, purpose: Purpose | None
) -> Page[Run]:
    storage.studies.get(study_id)  # an unknown study is NotFound, not an empty list
    return page_of(
        lambda limit: storage.runs.page(
            study_id=study_id, purpose=purpose, limit=limit, after=query.cursor or ""
        ),
        limit=query.limit,
        cursor=lambda run: run.id,
    )


def submitted(storage: Storage, response: Response, study: Study, new: bool) -> StudyView:
    """Return the answer to a submission: status 202 for a new study, 200 for an earlier one."""
    response.headers["Location"] = f"/v1/studies/{study.id}"
    response.status_code = 202 if new else 200
    if new:
        return StudyView(**dict(study), progress=no_progress(study, utc_now()))
    return views(storage, [study])[0]


def views(storage: Storage, studies: list[Study]) -> list[StudyView]:
    """Return studies with their progress."""
    progress = progress_of(storage.run_counts, studies, utc_now())
    return [StudyView(**dict(study), progress=progress[study.id]) for study in studies]
