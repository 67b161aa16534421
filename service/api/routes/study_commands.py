"""What its submitter and administrators may do to a study that is there."""

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
from service.domain.planning.permissions import require_priority
from service.domain.planning.plans import changed, resolve
from service.storage import Storage

router = APIRouter(prefix="/v1/studies", tags=["studies"])

WhyBody = Annotated[Reason | None, Body(description="May be left out.")]
ERRORS = documented(400, 404, 409, 422)


@router.post("/{study_id}/cancel", summary="Cancel a study", responses=ERRORS)
def cancel_study(
    study: OwnedStudy, storage: StorageDep, by: SubmitterDep, why: WhyBody = None
) -> StudyView:
    """End a study at once. Trainings under way are stopped within seconds and end as cancelled.

    What has finished stays. There is no way back; a re-run makes a new study.
    """
    return _do(storage, study, Command.CANCEL, by, why)


@router.post("/{study_id}/pause", summary="Pause a study", responses=ERRORS)
def pause_study(
    study: OwnedStudy, storage: StorageDep, by: SubmitterDep, why: WhyBody = None
) -> StudyView:
    """Begin no further training; those under way go on to their end.

    The study is `pausing` meanwhile, then `paused` until it is resumed.
    """
    return _do(storage, study, Command.PAUSE, by, why)


@router.post("/{study_id}/resume", summary="Resume a study", responses=ERRORS)
def resume_study(
    study: OwnedStudy, storage: StorageDep, by: SubmitterDep, why: WhyBody = None
) -> StudyView:
    """Go on with a paused study from where it was."""
    return _do(storage, study, Command.RESUME, by, why)


@router.post("/{study_id}/drain", summary="Drain a study", responses=ERRORS)
def drain_study(
    study: OwnedStudy, storage: StorageDep, by: SubmitterDep, why: WhyBody = None
) -> StudyView:
    """Let the trainings under way go on to their end, then end the study as cancelled.

    Nothing that was trained is lost. To conclude early with a recommendation instead, lower
    `budget.trials`.
    """
    return _do(storage, study, Command.DRAIN, by, why)


@router.patch("/{study_id}", summary="Change a study", responses=ERRORS)
def change_study(
    study: OwnedStudy,
    change: StudyChange,
    storage: StorageDep,
    by: SubmitterDep,
    principal: PrincipalDep,
    highest: HighestPriority,
) -> StudyView:
    """Give a study that has not ended another priority or budget, also while it runs.

    A number of the budget can change until the first training that depends on it has begun:
    `trials` and `finalists` until finalists are screened, the seeds of a stage until that stage.
    Lowering `trials` to what is done ends the search.
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
    """Submit the request of an earlier study as a new one, planned by today's catalogue.

    It is the caller's then, whoever submitted the earlier one.
    """
    request = storage.studies.get(study_id).request
    require_priority(principal, request.priority, highest)
    study, new = storage.studies.submit(
        request, resolve(request), idempotency_key, submitter=submitter
    )
    return submitted(storage, response, study, new)


def _do(
    storage: Storage, study: Study, command: Command, by: str, why: Reason | None
) -> StudyView:
    reason = why.reason if why else None
    return views(storage, [storage.studies.command(study.id, command, by=by, reason=reason)])[0]
