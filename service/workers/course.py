"""The course of one study: which training comes next, and what becomes of its result.

Everything is decided from the plan and the stored runs, so a course that is cut short anywhere
is taken up again by building a new one over the same storage.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ham.config import RunConfig
from service.domain import stages
from service.records import Claim, EpochMetrics, Job, Outcome, Plan, Purpose, Run, RunState
from service.storage import Storage
from service.workers.optuna_search import OptunaSearch

_SECONDS_BETWEEN_PROGRESS_WRITES = 0.5
_SECONDS_BETWEEN_ORDERS = 1.0


class Assignment(NamedTuple):
    """A training to be done now."""

    run_id: str
    config: RunConfig
    measure_test: bool


class Step(NamedTuple):
    """Jobs that can be named once all results of one purpose are in."""

    results_of: Purpose | None
    jobs: Callable[[Plan, Sequence[Run]], list[Job]]


_STEPS = (
    Step(None, lambda plan, _: stages.baseline_jobs(plan, Purpose.SCREENING)),
    Step(Purpose.SEARCH, stages.finalist_jobs),
    Step(None, lambda plan, _: stages.baseline_jobs(plan, Purpose.CONFIRMATION)),
    Step(Purpose.SCREENING, stages.winner_jobs),
)


class Course:
    """Hands out trainings stage by stage and stores what comes back.

    Args:
        storage: where runs are kept.
        claim: the right to write to this study.
        plan: what was planned.
        search: Optuna's side of it.

    Attributes:
        on_hold: people want no further training of this study for now.
    """

    def __init__(self, storage: Storage, claim: Claim, plan: Plan, search: OptunaSearch) -> None:
        self._storage = storage
        self._claim = claim
        self._plan = plan
        self._search = search
        self._under_way: dict[str, Job] = {}
        self._written: dict[str, float] = {}
        self._jobs: deque[Job] = deque()
        self._steps = deque(_STEPS)
        self._ask_again_at = 0.0
        self.on_hold = False

    @property
    def finished(self) -> bool:
        """True once every training has ended and its result is stored, or all that may begin."""
        if self.on_hold:
            return not self._under_way
        searched = self._search.asked >= self._plan.budget.trials
        return searched and not (self._steps or self._jobs or self._under_way)

    def next(self) -> Assignment | None:
        """Return the next training; None while results under way must come in first, or on hold.

        Raises:
            StudyFailed: nothing that could be confirmed came out of a stage.
            StaleLease: another runner has taken the study over.
        """
        self._heed_orders()
        while not self.on_hold and (job := self._next_job()) is not None:
            if assignment := self._begin(job):
                return assignment
        return None

    def report(self, run_id: str, metrics: EpochMetrics) -> None:
        """Note an epoch of a run under way."""
        job = self._under_way[run_id]
        if job.trial_number is not None:
            self._search.report(job.trial_number, metrics.epoch, metrics.validation_accuracy)
        now = time.monotonic()
        if now - self._written.get(run_id, 0) >= _SECONDS_BETWEEN_PROGRESS_WRITES:
            self._storage.runs.progress(self._claim, run_id, metrics)
            self._written[run_id] = now

    def end(self, run_id: str, outcome: Outcome) -> None:
        """Store how a run ended: our run first, then Optuna's trial."""
        job = self._under_way[run_id]
        self._storage.runs.end(self._claim, run_id, outcome)
        if job.trial_number is not None:
            self._search.tell(job.trial_number, outcome)
        del self._under_way[run_id]
        self._written.pop(run_id, None)

    def _heed_orders(self) -> None:
        """See whether people want the study held, or another budget."""
        now = time.monotonic()
        if now < self._ask_again_at:
            return
        self._ask_again_at = now + _SECONDS_BETWEEN_ORDERS
        orders = self._storage.queue.orders(self._claim)
        self.on_hold, self._plan = orders.hold, orders.plan

    def _next_job(self) -> Job | None:
        if self._search.asked < self._plan.budget.trials:
            return self._next_trial()
        while not self._jobs and self._steps and not self._awaits(self._steps[0].results_of):
            self._ask_again_at = 0.0
            self._heed_orders()  # a stage begins with the newest budget
            if self._search.asked < self._plan.budget.trials:
                return self._next_trial()
            step = self._steps.popleft()
            runs = self._storage.runs.of_study(self._claim.study_id) if step.results_of else []
            self._jobs.extend(step.jobs(self._plan, runs))
        return self._jobs.popleft() if self._jobs else None

    def _next_trial(self) -> Job:
        number, setting = self._search.ask()
        seeds = self._plan.search_seeds
        return Job(
            purpose=Purpose.SEARCH,
            setting=setting,
            seed=seeds[number % len(seeds)],
            trial_number=number,
        )

    def _awaits(self, purpose: Purpose | None) -> bool:
        return any(job.purpose == purpose for job in self._under_way.values())

    def _begin(self, job: Job) -> Assignment | None:
        """Begin a job's run, unless an earlier runner has already finished it."""
        run = self._storage.runs.begin(self._claim, job, self._plan.run_epochs)
        if run.state != RunState.RUNNING:
            if job.trial_number is not None:
                self._search.tell(job.trial_number, _outcome(run))
            return None
        self._under_way[run.id] = job
        config = RunConfig(
            combination=self._plan.combination,
            recipe=self._plan.recipe,
            setting=job.setting,
            seed=job.seed,
        )
        return Assignment(run.id, config, measure_test=job.purpose == Purpose.CONFIRMATION)


def _outcome(run: Run) -> Outcome:
    return Outcome(validation_accuracy=run.validation_accuracy, error=run.error)
