"""The queue and its runs against a model in memory, along random histories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from ham.client.records import (
    ENDED,
    HELD,
    LOCAL,
    BudgetChange,
    Command,
    EventKind,
    Run,
    RunState,
    Study,
    StudyChange,
    StudyRequest,
    StudyState,
)
from ham.client.records.lifecycle import AFTER_RELEASE, COMMANDS, TRANSITIONS
from ham.config import HamConfig
from ham.errors import InvalidConfig
from service.domain.planning.budget_changes import changed
from service.domain.planning.plans import BASELINES, resolve
from service.domain.planning.stage_sizes import stage_sizes
from service.errors import Conflict, StaleLease
from service.records import Outcome, StudyLease
from service.storage import Database, Storage
from service.storage.tables import Base, StudyRow
from tests.conftest import MovableClock
from tests.service.builders import a_job, a_plan, a_request, a_result, an_outcome, metrics

LEASE = timedelta(seconds=15)
EPOCHS = 2
MAX_ATTEMPTS = 3
NUMBERS = st.integers(0, 1)


@dataclass
class ModelStudy:
    """A study as the rules of the storage demand it."""

    submitter: str
    priority: int
    claimable_at: datetime | None
    state: StudyState = StudyState.QUEUED
    token: int = 0
    attempts: int = 0
    runs: dict[int, Run] = field(default_factory=dict)
    request: StudyRequest = field(default_factory=a_request)
    budget: dict[str, int] = field(default_factory=dict)
    """What was changed of it."""

    def go(self, state: StudyState, now: datetime) -> None:
        assert state in TRANSITIONS[self.state]
        self.state = state
        if state == StudyState.QUEUED:
            self.claimable_at = now
        elif state not in HELD:
            self.claimable_at = None
        if state in ENDED:
            for number, run in self.runs.items():
                if run.state == RunState.RUNNING:
                    update = {"state": RunState.CANCELLED, "ended_at": now}
                    self.runs[number] = run.model_copy(update=update)


class QueueMachine(RuleBasedStateMachine):
    """Any runner may do anything at any time. Leases stay around after they became stale."""

    database: Database
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        with self.database.write() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(table.delete())
        self.clock = MovableClock()
        self.storage = Storage(self.database, clock=self.clock, max_attempts=MAX_ATTEMPTS)
        self.model: dict[str, ModelStudy] = {}
        self.served: dict[str, datetime] = {}
        self.reruns: dict[tuple[str, str | None], str] = {}

    @initialize(target=leases)
    def begin_with_one_claimed_and_one_queued(self) -> object:
        self.submit(LOCAL, 0)
        self.submit(LOCAL, 0)
        return self.claim()

    @rule(submitter=st.sampled_from([LOCAL, "other"]), priority=st.integers(-1, 1))
    def submit(self, submitter: str, priority: int) -> None:
        request = a_request(priority=priority)
        study, _ = self.storage.studies.submit(request, a_plan(), submitter=submitter)
        self.model[study.id] = ModelStudy(
            submitter, priority, claimable_at=self.clock.now, request=request
        )

    @rule(data=st.data(), submitter=st.sampled_from([LOCAL, "other"]), key=st.booleans())
    def rerun(self, data: st.DataObject, submitter: str, key: bool) -> None:
        """Submit the request of an earlier study again: a new study, once per key."""
        earlier = data.draw(st.sampled_from(sorted(self.model)))
        request = self.storage.studies.get(earlier).request
        name = f"again {earlier}" if key else None
        study, new = self.storage.studies.submit(
            request, resolve(request), name, submitter=submitter
        )
        known = self.reruns.get((submitter, name))
        assert new == (known is None or name is None)
        if not new:
            assert study.id == known
            return
        assert study.id not in self.model and study.request == request
        assert study.plan == resolve(request), "planned today, without the changes"
        self.reruns[submitter, name] = study.id
        self.model[study.id] = ModelStudy(
            submitter, request.priority, claimable_at=self.clock.now, request=request
        )

    @rule(data=st.data(), command=st.sampled_from(Command))
    def command(self, data: st.DataObject, command: Command) -> None:
        study_id = data.draw(st.sampled_from(sorted(self.model)))
        mine = self.model[study_id]
        target = COMMANDS[command].get(mine.state)
        if target is None:
            with pytest.raises(Conflict, match=mine.state.value):
                self.storage.studies.command(study_id, command)
            return
        assert self.storage.studies.command(study_id, command).state == target
        if target != mine.state:
            mine.go(target, self.clock.now)

    @rule(
        data=st.data(),
        priority=st.none() | st.integers(-2, 2),
        trials=st.none() | st.integers(1, 3),
        epochs=st.none() | st.sampled_from([1, 10_000]),
    )
    def change(
        self, data: st.DataObject, priority: int | None, trials: int | None, epochs: int | None
    ) -> None:
        """Change priority and budget together, or neither."""
        study_id = data.draw(st.sampled_from(sorted(self.model)))
        mine = self.model[study_id]
        budget = BudgetChange(trials=trials, max_epochs=epochs)
        wanted = StudyChange(priority=priority, budget=budget)

        def edit(study: Study) -> Study:
            return changed(study, wanted, self.storage.runs.of_study(study_id))

        if mine.state in ENDED:
            with pytest.raises(Conflict, match="has ended"):
                self.storage.studies.change(study_id, edit)
            return
        if epochs == 1:
            with pytest.raises(InvalidConfig, match="max_epochs"):
                self.storage.studies.change(study_id, edit)
            return
        study = self.storage.studies.change(study_id, edit)
        mine.priority = mine.priority if priority is None else priority
        mine.budget |= budget.model_dump(exclude_none=True)
        assert study.plan.expected_runs == sum(stage_sizes(study.plan.budget, BASELINES))

    @rule()
    def wait(self) -> None:
        self.clock.advance(10)

    @rule(target=leases)
    def claim_after_every_lease_ran_out(self) -> object:
        self.clock.advance(16)
        return self.claim()

    @rule(target=leases)
    def claim(self) -> object:
        got = self.storage.queue.claim("me", LEASE)
        expected = self._next()
        if expected is None:
            assert got is None
            return multiple()
        assert got is not None
        study, lease = got
        mine = self.model[expected]
        mine.go(StudyState.RUNNING, self.clock.now)
        mine.claimable_at = self.clock.now + LEASE
        self.served[mine.submitter] = self.clock.now
        mine.token, mine.attempts = mine.token + 1, mine.attempts + 1
        assert (study.id, lease.token) == (expected, mine.token)
        return lease

    @rule(lease=leases)
    def heartbeat(self, lease: StudyLease) -> None:
        mine = self.model[lease.study_id]
        if self._write(lease, lambda: self.storage.queue.heartbeat(lease, LEASE)):
            mine.claimable_at = self.clock.now + LEASE

    @rule(lease=leases, lost=st.booleans(), pause=st.sampled_from([0, 10]))
    def release(self, lease: StudyLease, lost: bool, pause: int) -> None:
        mine, wait = self.model[lease.study_id], timedelta(seconds=pause)
        if self._write(
            lease, lambda: self.storage.queue.release(lease, "released", wait, lost=lost)
        ):
            mine.go(AFTER_RELEASE[mine.state], self.clock.now)
            if mine.state == StudyState.QUEUED:
                mine.claimable_at = self.clock.now + wait
            mine.attempts -= not lost

    @rule(lease=leases)
    def control_flags(self, lease: StudyLease) -> None:
        control_flags = self._write(lease, lambda: self.storage.queue.control_flags(lease))
        if control_flags is not None:
            assert control_flags.pause_requested == (
                self.model[lease.study_id].state != StudyState.RUNNING
            )

    @rule(lease=leases, well=st.booleans())
    def finish(self, lease: StudyLease, well: bool) -> None:
        queue = self.storage.queue
        if self._write(
            lease, lambda: queue.succeed(lease, a_result()) if well else queue.fail(lease, "no")
        ):
            state = StudyState.SUCCEEDED if well else StudyState.FAILED
            self.model[lease.study_id].go(state, self.clock.now)

    @rule(lease=leases, number=NUMBERS, alpha=st.sampled_from([1.0, 2.0]))
    def begin(self, lease: StudyLease, number: int, alpha: float) -> None:
        runs = self.model[lease.study_id].runs
        job = a_job(trial_number=number, setting=HamConfig(alpha=alpha, beta=0.0))
        run = self._write(lease, lambda: self.storage.runs.begin(lease, job, EPOCHS))
        if run is None:
            return
        before = runs.get(number)
        if before is not None and before.state != RunState.RUNNING:
            assert run == before, "an ended run is returned unchanged"
            return
        assert (run.state, run.setting, run.epochs_done) == (RunState.RUNNING, job.setting, 0)
        if before is not None:
            assert (run.id, run.attempt) == (before.id, before.attempt + 1)
        runs[number] = run

    @rule(lease=leases, number=NUMBERS)
    def progress(self, lease: StudyLease, number: int) -> None:
        runs = self.model[lease.study_id].runs
        if (run := runs.get(number)) is not None and self._write(
            lease, lambda: self.storage.runs.progress(lease, run.id, metrics(1, 0.5)), run
        ):
            update = {"epochs_done": 1, "validation_accuracy": 0.5}
            runs[number] = run.model_copy(update=update)

    @rule(lease=leases, number=NUMBERS, well=st.booleans())
    def end(self, lease: StudyLease, number: int, well: bool) -> None:
        runs = self.model[lease.study_id].runs
        outcome = an_outcome(EPOCHS) if well else Outcome(error="diverged")
        if (run := runs.get(number)) is not None and (
            ended := self._write(lease, lambda: self.storage.runs.end(lease, run.id, outcome), run)
        ):
            assert ended.state == (RunState.SUCCEEDED if well else RunState.FAILED)
            runs[number] = ended

    @invariant()
    def storage_and_model_agree(self) -> None:
        studies = {study.id: study for study in self.storage.studies.list()}
        assert studies.keys() == self.model.keys()
        for study_id, mine in self.model.items():
            study = studies[study_id]
            assert (study.state, study.attempts) == (mine.state, mine.attempts)
            assert (study.submitter, study.priority) == (mine.submitter, mine.priority)
            assert study.request == mine.request, "the request never changes"
            budget = study.plan.budget.model_dump()
            assert budget == mine.request.budget.model_dump() | mine.budget
            assert (study.ended_at is not None) == (mine.state in ENDED)
            runs = {run.trial_number: run for run in self.storage.runs.of_study(study_id)}
            for number, run in runs.items():
                if run.state == RunState.CANCELLED:  # its reason is not modelled
                    runs[number] = run.model_copy(update={"error": None})
            assert runs == mine.runs
            ended = sum(run.state != RunState.RUNNING for run in runs.values())
            assert self._runs_ended(study_id) == ended

    def _runs_ended(self, study_id: str) -> int:
        with self.database.read() as session:
            return session.get_one(StudyRow, study_id).runs_ended

    def teardown(self) -> None:
        """Compare the events with the transitions: who, from where, to where; none is missing."""
        for study_id, mine in self.model.items():
            state = None
            for event in self.storage.events.after(0, study_id=study_id, limit=10_000):
                if event.kind == EventKind.STATE:
                    assert event.source == state and event.by is not None
                    assert state is None or event.state in TRANSITIONS[state]
                    state = event.state
            assert state == mine.state

    def _next(self) -> str | None:
        """Return the next study to claim. Studies that cannot run end first, as in a claim."""
        while True:
            due = {
                study_id: study
                for study_id, study in self.model.items()
                if study.claimable_at is not None and study.claimable_at <= self.clock.now
            }
            if not due:
                return None
            study_id = min(due, key=lambda study_id: self._turn(study_id, due[study_id]))
            mine = due[study_id]
            if mine.state in (StudyState.PAUSING, StudyState.DRAINING):
                mine.go(AFTER_RELEASE[mine.state], self.clock.now)
            elif mine.attempts >= MAX_ATTEMPTS:
                mine.go(StudyState.FAILED, self.clock.now)
            else:
                return study_id

    def _turn(self, study_id: str, mine: ModelStudy) -> tuple[Any, ...]:
        """Order: lost studies first; then priority, running studies, longest unserved, age."""
        if mine.state in HELD:
            return (0, mine.claimable_at, study_id)
        in_work = sum(
            study.state in HELD
            for study in self.model.values()
            if study.submitter == mine.submitter
        )
        served = self.served.get(mine.submitter, datetime.min.replace(tzinfo=UTC))
        return (1, -mine.priority, in_work, served, mine.submitter, study_id)

    def _write(self, lease: StudyLease, write: Callable[[], Any], run: Run | None = None) -> Any:
        """Write and return the result; or check that the refusal was due, and return None."""
        mine = self.model[lease.study_id]
        if (
            mine.state in HELD
            and mine.token == lease.token
            and (run is None or run.state == RunState.RUNNING)
        ):
            return write() or True
        with pytest.raises(StaleLease):
            write()
        return None


@pytest.mark.slow
def test_queue_and_runs_follow_the_rules_along_any_history(database: Database) -> None:
    QueueMachine.database = database
    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
