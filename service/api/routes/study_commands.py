"""Commands on existing studies, for their submitters and administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Response

from ham.client.records import Command, Reason, Study, StudyChange, StudyView
from service.api.dependencies import (
    HighestPriority,
    IdempotencyKey,
    OwnedStudy,
    PrincipalDep,
    StorageDep,
    StudyId,
    SubmitterDep,
)
from service.api.errors.problems import documented
from service.api.routes.studies import SUBMITTED, submitted, views
from service.domain.planning.budget_changes import changed
from service.domain.planning.permissions import require_priority
from service.domain.planning.plans import resolve
from service.storage import Storage

router = APIRouter(prefix="/v1/studies", tags=["studies"])

ReasonBody = Annotated[Reason | None, Body(description="Optional.")]
ERRORS = documented(400, 404, 409, 422)


@router.post("/{study_id}/cancel", summary="Cancel a study", responses=ERRORS)
def cancel_study(
    study: OwnedStudy, storage: StorageDep, by: SubmitterDep, reason: ReasonBody = None
) -> StudyView:
    """End a study at once. Running trainings are stopped within seconds and end as cancelled.

    Finished runs stay. A cancelled study cannot be resumed; a re-run makes a new study.
    """
    return _do(storage, study, Command.CANCEL, by, reason)


@router.post("/{study_id}/pause", summary="Pause a study", responses=ERRORS)
def pause_study(
    study: OwnedStudy, storage: StorageDep, by: SubmitterDep, reason: ReasonBody = None
) -> StudyView:
    """Begin no further training; running trainings go on to their end.

    The study is `pausing` until then, and `paused` until it is resumed.
    """
    return _do(storage, study, Command.PAUSE, by, reason)


@router.post("/{study_id}/resume", summary="Resume a study", responses=ERRORS)
def resume_study(
    study: OwnedStudy, storage: StorageDep, by: SubmitterDep, reason: ReasonBody = None
) -> StudyView:
    """Continue a paused study."""
    return _do(storage, study, Command.RESUME, by, reason)


@router.post("/{study_id}/drain", summary="Drain a study", responses=ERRORS)
def drain_study(
    study: OwnedStudy, storage: StorageDep, by: SubmitterDep, reason: ReasonBody = None
) -> StudyView:
    """Let running trainings go on to their end, then end the study as cancelled.

    No training is lost. To end early with a recommendation instead, lower `budget.trials`.
    """
    return _do(storage, study, Command.DRAIN, by, reason)


@router.patch("/{study_id}", summary="Change a study", responses=ERRORS)
def change_study(
    study: OwnedStudy,
    change: StudyChange,
    storage: StorageDep,
    by: SubmitterDep,
    principal: PrincipalDep,
    highest: HighestPriority,
) -> StudyView:
    """Change the priority or the budget of a study that has not ended, also while it runs.

    A number of the budget can change until the first training that depends on it has begun:
    `trials` and `finalists` until the screening, the seeds of a stage until that stage. Lowering
    `trials` to the number of finished trials ends the search.
    """
    require_priority(principal, change.priority, highest)

    def edit(study: Study) -> Study:
        return changed(study, change, storage.runs.of_study(study.id))

    return views(storage, [storage.studies.change(study.id, edit, by=by)])[0]


@router.post(
    "/{study_id}/rerun",
    summary="Run a study again",
    status_code=202,
    response_description="Queued. `Location` is the address of the new study.",
    responses=SUBMITTED | documented(404),
)
def rerun_study(
    study_id: StudyId,
    response: Response,
    storage: StorageDep,
    submitter: SubmitterDep,
    principal: PrincipalDep,
    highest: HighestPriority,
    idempotency_key: IdempotencyKey = None,
) -> StudyView:
    """Submit the request of an earlier study again, planned with the present catalog.

    The caller is the submitter of the new study.
    """
    request = storage.studies.get(study_id).request
    require_priority(principal, request.priority, highest)
    study, new = storage.studies.submit(
        request, resolve(request), idempotency_key, submitter=submitter
    )
    return submitted(storage, response, study, new)


def _do(
    storage: Storage, study: Study, command: Command, by: str, body: Reason | None
) -> StudyView:
    reason = body.reason if body else None
    return views(storage, [storage.studies.command(study.id, command, by=by, reason=reason)])[0]
