"""The store of studies: submit, read, command and change them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ham.client.records import (
    ALL_COMBINATIONS,
    ENDED,
    LOCAL,
    CombinationFilter,
    Command,
    Cost,
    EventKind,
    Plan,
    Study,
    StudyRequest,
    StudyState,
)
from ham.client.records.lifecycle import COMMANDS
from service.clock import Clock
from service.errors import Conflict, NotFound
from service.ids import new_id
from service.storage.engine.database import Database, insert_for
from service.storage.engine.event_log import note_event
from service.storage.engine.keyset import newest
from service.storage.engine.mapping import field_values
from service.storage.engine.retries import retry_transactions
from service.storage.results.combinations import combination_id
from service.storage.studies.idempotency import keep_key, known_key, once, other_request
from service.storage.studies.quotas import Quotas
from service.storage.studies.transitions import transition
from service.storage.tables import StudyRow, SubmitterRow

StudyEdit = Callable[[Study], Study]
"""Returns a study with another priority or plan; it is called while the study is locked."""


@retry_transactions
class StudyStore:
    """Studies: submitted once, read often."""

    def __init__(self, database: Database, clock: Clock, quotas: Quotas, intake: Intake) -> None:
        self._database = database
        self._clock = clock
        self._quotas = quotas
        self._intake = intake

    def submit(
        self,
        request: StudyRequest,
        plan: Plan,
        idempotency_key: str | None = None,
        *,
        submitter: str = LOCAL,
    ) -> tuple[Study, bool]:
        """Queue a study; the flag says whether the study is new.

        The same key, submitter and request return the study that was stored first, for 30 days.

        Raises:
            Conflict: the key was used for another request.
            LimitReached: the submitter has the most queued studies allowed, or no GPU hours left.
        """
        return once(
            lambda: self._submit(request, plan, idempotency_key, submitter), idempotency_key
        )

    def get(self, study_id: str) -> Study:
        """Return a study.

        Raises:
            NotFound: there is no such study.
        """
        with self._database.read() as session:
            return study_record(_study_row(session, study_id))

    def list(
        self,
        *,
        state: StudyState | None = None,
        which: CombinationFilter = ALL_COMBINATIONS,
        submitter: str | None = None,
        sweep_id: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Study]:
        """Return at most ``limit`` studies, newest first, with ids below ``before``."""
        wanted = {"state": state, "submitter": submitter, "sweep_id": sweep_id}
        query = newest(StudyRow, which, limit, before, **wanted)
        with self._database.read() as session:
            return [study_record(row) for row in session.scalars(query)]

    def command(
        self, study_id: str, command: Command, *, by: str = LOCAL, reason: str | None = None
    ) -> Study:
        """Cancel, pause, resume or drain a study.

        Nothing happens if the command would not change the state.

        Raises:
            NotFound: there is no such study.
            Conflict: the command is not possible in the present state of the study.
        """
        with self._database.write() as session:
            row = _study_row(session, study_id, lock=True)
            ways = COMMANDS[command]
            if row.state not in ways:
                raise Conflict(
                    f"study {study_id} is {row.state.value}; {command.value} is possible while "
                    f"it is {', '.join(state.value for state in ways)}"
                )
            if ways[row.state] != row.state:
                why = reason or f"asked to {command.value}"
                transition(session, self._clock, row, ways[row.state], by=by, reason=why)
            return study_record(row)

    def change(self, study_id: str, edit: StudyEdit, *, by: str = LOCAL) -> Study:
        """Store the priority and the plan that ``edit`` returns.

        Args:
            study_id: a study that has not ended.
            edit: returns the changed study; it is called while the study is locked. If it raises,
                nothing changes and the error is passed on.
            by: who asks for the change.

        Raises:
            NotFound: there is no such study.
            Conflict: the study has ended.
        """
        with self._database.write() as session:
            row = _study_row(session, study_id, lock=True)
            if row.state in ENDED:
                raise Conflict(
                    f"study {study_id} has ended ({row.state.value}) and can no longer change; "
                    "submit a new study with POST /v1/studies"
                )
            before = study_record(row)
            changed = edit(before)
            row.queue_order, row.plan = -changed.priority, changed.plan.model_dump(mode="json")
            details = _difference(before, changed)
            if details:
                note_event(session, self._clock, row, EventKind.CHANGE, by=by, details=details)
            session.flush()
            return study_record(row)

    def _submit(
        self, request: StudyRequest, plan: Plan, key: str | None, submitter: str
    ) -> tuple[Study, bool]:
        now = self._clock()
        with self._database.write() as session:
            if key is not None and (known := known_key(session, submitter, key, now)):
                if known.study_id is None:
                    raise other_request(key, f"sweep {known.sweep_id}")
                study = study_record(_study_row(session, known.study_id))
                if study.request != request:
                    raise other_request(key, f"study {study.id}")
                return study, False
            self._intake.add_submitter(session, submitter)
            self._quotas.check(session, submitter, 1, now)
            row = self._intake.add(session, request, plan, submitter)
            if key is not None:
                keep_key(session, submitter, key, now, study_id=row.id)
            session.flush()
            return study_record(row), True


class Intake:
    """Inserts studies into the queue.

    It remembers submitters and combinations that are known to have rows, since these are never
    deleted.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._submitters: set[str] = set()
        self._combinations: dict[str, int] = {}

    def add_submitter(self, session: Session, name: str) -> None:
        """Insert a row for a submitter, if there is none."""
        if name in self._submitters:
            return
        insert = insert_for(session)(SubmitterRow).values(name=name)
        insert = insert.on_conflict_do_nothing(index_elements=["name"]).returning(
            SubmitterRow.name
        )
        if (
            session.scalars(insert).one_or_none() is None
        ):  # it existed; our own insert might be rolled back
            self._submitters.add(name)

    def add(
        self,
        session: Session,
        request: StudyRequest,
        plan: Plan,
        submitter: str,
        sweep_id: str | None = None,
    ) -> StudyRow:
        """Queue one study in this transaction."""
        now = self._clock()
        row = StudyRow(
            id=new_id("study"),
            combination_id=combination_id(session, plan.combination, self._combinations),
            submitter=submitter,
            sweep_id=sweep_id,
            queue_order=-request.priority,
            state=StudyState.QUEUED,
            request=request.model_dump(mode="json"),
            plan=plan.model_dump(mode="json"),
            created_at=now,
            claimable_at=now,
        )
        session.add(row)
        session.flush()
        note_event(session, self._clock, row, EventKind.STATE, by=submitter)
        return row


def _difference(before: Study, after: Study) -> dict[str, Any]:
    """Return the fields that a change has set, with their new values."""
    details: dict[str, Any] = {}
    if before.priority != after.priority:
        details["priority"] = after.priority
    old, new = before.plan.budget.model_dump(), after.plan.budget.model_dump()
    if budget := {name: value for name, value in new.items() if old[name] != value}:
        details["budget"] = budget
    return details


def _study_row(session: Session, study_id: str, *, lock: bool = False) -> StudyRow:
    query = select(StudyRow).where(StudyRow.id == study_id)
    row = session.scalars(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"there is no study {study_id!r}; GET /v1/studies lists all")
    return row


def study_record(row: StudyRow) -> Study:
    """Return the study in a row."""
    return Study(
        **field_values(row, Study),
        priority=-row.queue_order,
        cost=Cost(**field_values(row, Cost)),
    )
