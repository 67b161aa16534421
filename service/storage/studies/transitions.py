"""State transitions of studies; no other code changes the state of a study."""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.orm import Session

from ham.client.records import ENDED, HELD, EventKind, RunState, StudyState
from service.clock import Clock
from service.storage.engine.event_log import note_event
from service.storage.tables import RunRow, StudyRow


def transition(
    session: Session,
    clock: Clock,
    row: StudyRow,
    state: StudyState,
    *,
    by: str | None,
    reason: str | None,
) -> None:
    """Change the state of a study and note the event: who and why.

    A paused or ended study cannot be claimed. The end of a study cancels its running runs, since
    nobody will write their results.
    """
    source, row.state = row.state, state
    if state == StudyState.QUEUED:
        row.claimable_at = clock()
    elif state not in HELD:
        row.claimable_at = None
    if state in ENDED:
        row.ended_at = clock()
        row.error = reason
        _cancel_runs(session, clock, row)
    session.flush()
    note_event(session, clock, row, EventKind.STATE, by=by, source=source, reason=reason)


def _cancel_runs(session: Session, clock: Clock, study: StudyRow) -> None:
    cancelled = session.scalars(
        update(RunRow)
        .where(RunRow.study_id == study.id, RunRow.state == RunState.RUNNING)
        .values(
            state=RunState.CANCELLED,
            ended_at=clock(),
            error=f"its study ended as {study.state.value} while the run was running",
        )
        .returning(RunRow.id)
    )
    study.runs_ended += len(cancelled.all())
