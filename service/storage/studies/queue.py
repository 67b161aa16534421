"""The queue of studies: atomic claims, leases, and the end of studies."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, Select, func, literal_column, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from ham.client.records import (
    HELD,
    NewParetoFront,
    NewRecommendation,
    ParetoFront,
    Plan,
    Prior,
    Recommendation,
    Study,
    StudyState,
)
from ham.client.records.lifecycle import AFTER_RELEASE
from service.clock import Clock
from service.records import ControlFlags, StudyLease
from service.storage.engine.database import Database
from service.storage.engine.retries import retry_transactions
from service.storage.results.pareto_fronts import add_pareto_front, pareto_front_record
from service.storage.results.recommendations import (
    add_recommendation,
    add_recommendation_unless_measured,
    recommendation_record,
)
from service.storage.studies.leases import leased_study, lock_leased_study, stale_lease
from service.storage.studies.quotas import Quotas
from service.storage.studies.store import study_record
from service.storage.studies.transitions import transition
from service.storage.tables import (
    RunRow,
    StudyRow,
    SubmitterRow,
)

_NO_PAUSE = timedelta(0)


@retry_transactions
class StudyQueue:
    """The queue of studies: which runner works on which study."""

    def __init__(
        self, database: Database, clock: Clock, max_attempts: int, quotas: Quotas
    ) -> None:
        self._database = database
        self._clock = clock
        self._max_attempts = max_attempts
        self._quotas = quotas

    def claim(self, owner: str, duration: timedelta) -> tuple[Study, StudyLease] | None:
        """Claim a study and return it with its lease; None if no study can be claimed.

        A study whose lease ran out comes first, then the queued study with the highest priority.
        At equal priority the submitter with the fewest running studies comes first, then the
        submitter who was served longest ago. Of one submitter the oldest study comes first.

        Args:
            owner: name of the scheduler, for events and people.
            duration: how long the lease holds without a heartbeat.
        """
        with self._database.write() as session:
            while (row := self._next(session)) is not None:
                if row.state in (StudyState.PAUSING, StudyState.DRAINING):
                    self._give_back(session, row, "its runner vanished")
                elif row.attempts >= self._max_attempts:
                    row.lease_owner = owner
                    self._transition(session, row, StudyState.FAILED, self._give_up_reason(row))
                else:
                    break
            if row is None:
                return None
            taken_over = row.state == StudyState.RUNNING
            row.attempts += 1
            row.token += 1
            row.started_at = row.started_at or self._clock()
            row.error = None
            row.lease_owner = owner
            row.claimable_at = self._clock() + duration
            session.get_one(SubmitterRow, row.submitter).served_at = self._clock()
            reason = "taken over: its lease ran out" if taken_over else "claimed"
            self._transition(session, row, StudyState.RUNNING, reason)
            return study_record(row), StudyLease(study_id=row.id, token=row.token)

    def heartbeat(self, lease: StudyLease, duration: timedelta) -> None:
        """Prolong a lease, counted from now.

        Raises:
            StaleLease: the lease is no longer valid.
        """
        with self._database.write() as session:
            lock_leased_study(session, lease).claimable_at = self._clock() + duration

    def control_flags(self, lease: StudyLease) -> ControlFlags:
        """Return the control flags that people have set on a running study.

        Raises:
            StaleLease: the study was cancelled, or another runner has taken it over.
        """
        with self._database.read() as session:
            row = session.scalars(leased_study(lease)).one_or_none()
            if row is None:
                raise stale_lease(lease)
            pause_requested = row.state != StudyState.RUNNING
            return ControlFlags(
                pause_requested=pause_requested, plan=Plan.model_validate(row.plan)
            )

    def begin_search(self, lease: StudyLease, prior: Prior | None) -> Plan:
        """Store a prior in the plan, unless a run has begun, and return the plan.

        Every runner of the study then searches with the same prior.

        Raises:
            StaleLease: the lease is no longer valid.
        """
        with self._database.write() as session:
            row = lock_leased_study(session, lease)
            plan = Plan.model_validate(row.plan)
            begun = session.scalars(select(RunRow.id).where(RunRow.study_id == row.id).limit(1))
            if begun.one_or_none() is None:
                plan = plan.model_copy(update={"prior": prior})
                row.plan = plan.model_dump(mode="json")
            return plan

    def release(
        self,
        lease: StudyLease,
        reason: str,
        pause: timedelta = _NO_PAUSE,
        *,
        lost: bool = False,
        so_far: NewRecommendation | None = None,
    ) -> None:
        """Give a study back before its end. It is queued again and can be claimed after a pause.

        If a pause or a drain was asked for, the study is paused or cancelled instead.

        Args:
            lease: the lease to give back.
            reason: stored as the study's error and as the reason of the event.
            pause: time until the study can be claimed again.
            lost: the runner broke down; this uses up one attempt. A runner that was told to stop
                uses up none.
            so_far: a recommendation from the runs so far. It is stored if the study is draining
                and its combination has no recommendation that was measured on held-out seeds.

        Raises:
            StaleLease: the lease is no longer valid.
        """
        with self._database.write() as session:
            row = lock_leased_study(session, lease)
            if so_far is not None and row.state == StudyState.DRAINING:
                add_recommendation_unless_measured(session, row, so_far, self._clock())
            if not lost:
                row.attempts -= 1
            row.error = reason
            self._give_back(session, row, reason)
            if row.state == StudyState.QUEUED:
                row.claimable_at = self._clock() + pause

    def succeed(self, lease: StudyLease, result: NewRecommendation) -> Recommendation:
        """End a study and store its recommendation as the newest version of its combination.

        Raises:
            StaleLease: the lease is no longer valid.
        """
        with self._database.write() as session:
            study = lock_leased_study(session, lease)
            row = add_recommendation(session, study, result, self._clock())
            self._transition(session, study, StudyState.SUCCEEDED, None)
            session.flush()
            return recommendation_record(row)

    def succeed_with_pareto_front(self, lease: StudyLease, result: NewParetoFront) -> ParetoFront:
        """End a study of two objectives and store its Pareto front.

        Raises:
            StaleLease: the lease is no longer valid.
        """
        with self._database.write() as session:
            study = lock_leased_study(session, lease)
            row = add_pareto_front(session, study, result, self._clock())
            self._transition(session, study, StudyState.SUCCEEDED, None)
            return pareto_front_record(row)

    def fail(self, lease: StudyLease, reason: str) -> None:
        """End a study as failed, with a reason.

        Raises:
            StaleLease: the lease is no longer valid.
        """
        with self._database.write() as session:
            self._transition(session, lock_leased_study(session, lease), StudyState.FAILED, reason)

    def _next(self, session: Session) -> StudyRow | None:
        """Lock and return the next study: one whose lease ran out, else the next queued one."""
        lost = (
            select(StudyRow)
            .where(in_state(*HELD), StudyRow.claimable_at <= self._clock())
            .order_by(StudyRow.claimable_at, StudyRow.id)
        )
        if (row := _first(session, lost)) is not None:
            return row
        for submitter in self._submitters_by_turn(session):
            if not self._quotas.may_begin(session, submitter, self._clock()):
                continue
            if (row := _first(session, self._queue(submitter))) is not None:
                return row
        return None

    def _submitters_by_turn(self, session: Session) -> list[str]:
        """Return the submitters with claimable studies, the next one to be served first.

        The highest priority comes first. At equal priority the submitter with the fewest running
        studies comes first, then the one who was served longest ago. So all get the same share,
        however many studies they queue.
        """
        first = self._queue(SubmitterRow.name).with_only_columns(StudyRow.queue_order).limit(1)
        queue_order = first.correlate(SubmitterRow).scalar_subquery()
        running = (
            select(func.count())
            .where(in_state(*HELD), StudyRow.submitter == SubmitterRow.name)
            .correlate(SubmitterRow)
            .scalar_subquery()
        )
        turns = select(
            SubmitterRow.name, queue_order.label("queue_order"), running.label("running")
        ).subquery()
        query = (
            select(turns.c.name)
            .join(SubmitterRow, SubmitterRow.name == turns.c.name)
            .where(turns.c.queue_order.is_not(None))
            .order_by(
                turns.c.queue_order,
                turns.c.running,
                SubmitterRow.served_at.nulls_first(),
                turns.c.name,
            )
        )
        return list(session.scalars(query))

    def _queue(self, submitter: str | InstrumentedAttribute[str]) -> Select[StudyRow]:
        """Return the query for the claimable studies of one submitter, in queue order."""
        return (
            select(StudyRow)
            .where(
                in_state(StudyState.QUEUED),
                StudyRow.submitter == submitter,
                StudyRow.claimable_at <= self._clock(),
            )
            .order_by(StudyRow.queue_order, StudyRow.id)
        )

    def _give_up_reason(self, row: StudyRow) -> str:
        return (
            f"given up after {row.attempts} runners ended without a result "
            f"(HAMTUNE_MAX_ATTEMPTS); the last reason: {row.error or 'its runner vanished'}"
        )

    def _give_back(self, session: Session, row: StudyRow, reason: str) -> None:
        self._transition(session, row, AFTER_RELEASE[row.state], reason)

    def _transition(
        self, session: Session, row: StudyRow, state: StudyState, reason: str | None
    ) -> None:
        transition(session, self._clock, row, state, by=row.lease_owner, reason=reason)


def in_state(*states: StudyState) -> ColumnElement[bool]:
    """Return the condition that a study is in one of the states.

    The states are literals: PostgreSQL uses a partial index only if the query names its states.
    """
    values: list[ColumnElement[str]] = [literal_column(f"'{state.value}'") for state in states]
    return StudyRow.state.in_(values) if len(values) > 1 else StudyRow.state == values[0]


def _first(session: Session, query: Select[StudyRow]) -> StudyRow | None:
    """Lock and return the first row that no other transaction has locked."""
    query = query.limit(1).with_for_update(of=StudyRow, skip_locked=True)
    return session.scalars(query).one_or_none()
