"""The execution of one study: decides which training comes next and stores each result.

Every decision follows from the plan and the stored runs. An execution that is cut short at any
point is therefore continued by a new one on the same storage.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from ham.client.records import EpochMetrics, Plan, Purpose, Run, RunState
from service.clock import Clock, utc_now
from service.domain.planning.budget_limits import Spending, may_begin, may_search
from service.domain.planning.estimates import seconds_of_a_training
from service.domain.search.early_stopping import GO_ON, Verdict, judge, promotable, promotes
from service.records import Job, Outcome, StudyLease
from service.storage import Storage
from service.workers.study.assignments import TrainingAssignment, assignment_of
from service.workers.study.optuna_search import Search
from service.workers.study.outcomes import (
    failed_unless_finite,
    outcome_of,
    pruned_outcome,
    with_curve,
)
from service.workers.study.stages import JOB_BATCHES, PARETO_JOB_BATCHES

_SECONDS_BETWEEN_PROGRESS_WRITES = 0.5
_SECONDS_BETWEEN_CONTROL_FLAGS = 1.0
_SECONDS_OF_A_SHORT_TRAINING = 60.0


class WaitingTrial(NamedTuple):
    """A search trial that was stopped at a rung and waits for its promotion."""

    job: Job
    verdict: Verdict
    environment: dict[str, Any]


class StudyExecution:
    """Hands out trainings stage by stage and stores their results.

    Args:
        storage: where runs are stored.
        lease: the study lease, which allows writes to the study.
        plan: the study's plan.
        search: the study's search in Optuna.
        clock: returns the present time, for the budget's limit on wall time.

    Attributes:
        study_id: id of the study.
        is_paused: no further training may begin, because a user asked for a pause or an end.
        gpus: GPUs that a training occupies, for the cost of trainings that do not report it.
    """

    def __init__(
        self,
        storage: Storage,
        lease: StudyLease,
        plan: Plan,
        search: Search,
        clock: Clock = utc_now,
    ) -> None:
        self._clock = clock
        self._storage = storage
        self._lease = lease
        self.study_id = lease.study_id
        self._plan = plan
        self._search = search
        self._running: dict[str, Job] = {}
        self._waiting: dict[str, WaitingTrial] = {}
        self._curves: dict[str, dict[int, EpochMetrics]] = {}
        self._environment: dict[str, Any] | None = None
        self._started = storage.studies.get(lease.study_id).started_at or clock()
        runs = storage.runs.of_study(lease.study_id)
        self._spent = Spending.of(runs)
        self._finalists_chosen = any(
            run.purpose == Purpose.SCREENING and run.setting not in plan.baselines for run in runs
        )
        self._progress_written_at: dict[str, float] = {}
        self._jobs: deque[Job] = deque()
        self._batches = deque(PARETO_JOB_BATCHES if plan.is_multi_objective else JOB_BATCHES)
        self._refresh_at = 0.0
        self.is_paused = False
        self.gpus = 0.0

    @property
    def finished(self) -> bool:
        """True once no training runs and none may begin: all are done, or the study is paused."""
        if self._running:
            return False
        return not (self._may_begin and (self._searching or self._batches or self._jobs))

    def next(self, workers: float = math.inf) -> TrainingAssignment | None:
        """Return the next training; None while a result must come first, or while paused.

        Args:
            workers: number of trainings that can run at the same time. If trainings are short,
                one more is handed out, so that no worker waits for it.

        Raises:
            StudyFailed: a stage gave no result that could be confirmed.
            StaleLease: another runner has claimed the study.
        """
        self._refresh_control_flags()
        if not self._has_room(workers):
            return None
        if not self._may_begin and not self.is_paused:
            self._prune_waiting_trials()
        if self._may_begin and (promoted := self._promoted()):
            return promoted
        while self._may_begin and (job := self._next_job()) is not None:
            if assignment := self._begin(job):
                return assignment
        return None

    def _has_room(self, workers: float) -> bool:
        """Tell whether a worker is free, or will be within the time of a short training.

        None is taken ahead of time in three cases. A search on one worker waits for each result,
        so that a repeated search proposes the same. A promotion and a limit on wall time can only
        be decided when a worker is free.
        """
        ahead = len(self._running) - workers
        if ahead != 0:
            return ahead < 0
        if promotes(self._plan) or self._plan.budget.max_seconds is not None:
            return False
        waits_for_results = workers == 1 and self._searching
        ended = self._spent.ended
        seconds = self._spent.seconds / ended if ended else self._seconds_expected
        return seconds < _SECONDS_OF_A_SHORT_TRAINING and not waits_for_results

    @cached_property
    def _seconds_expected(self) -> float:
        return seconds_of_a_training(self._plan, self._storage.runs)

    def report(self, run_id: str, metrics: EpochMetrics) -> Verdict:
        """Note an epoch of a running training; return whether early stopping ends it."""
        job = self._running[run_id]
        if metrics.epoch in self._curves[run_id]:  # reported before it resumed at a checkpoint
            return GO_ON
        self._curves[run_id][metrics.epoch] = metrics
        if job.trial_number is not None:
            self._search.report(job.trial_number, metrics.epoch, metrics.validation_accuracy)
        self._write_progress(run_id, job, metrics)
        if job.trial_number is None:
            return GO_ON
        if self._plan.early_stopping == "none":
            return GO_ON
        history = self._search.history()
        if metrics.epoch < max(history.accuracies[job.trial_number], default=0):
            return GO_ON  # decided before its runner was lost
        return judge(self._plan, history, job.trial_number, metrics.epoch)

    def stop(self, run_id: str, verdict: Verdict, environment: dict[str, Any]) -> None:
        """Store that early stopping ended a run after the last epoch that it reported.

        If the rule promotes trials, the run waits for its promotion instead.
        """
        if promotes(self._plan):
            job = self._running.pop(run_id)
            self._waiting[run_id] = WaitingTrial(job, verdict, environment)
        else:
            self._prune(run_id, verdict, environment)

    def awaits_promotion(self, run_id: str) -> bool:
        """Tell whether a run waits for its promotion, so that its checkpoint is needed."""
        return run_id in self._waiting

    def _prune(self, run_id: str, verdict: Verdict, environment: dict[str, Any]) -> None:
        self.end(run_id, pruned_outcome(self._plan, self._curve(run_id), verdict, environment))

    def _promoted(self) -> TrainingAssignment | None:
        """Resume a waiting trial that is among the best of its rung by now."""
        history = self._search.history() if self._waiting else None
        for run_id, (job, *_) in self._waiting.items():
            assert history is not None and job.trial_number is not None
            if promotable(self._plan, history, job.trial_number):
                del self._waiting[run_id]
                self._running[run_id] = job
                return assignment_of(self._plan, run_id, job, resumes=True)
        return None

    def _prune_waiting_trials(self) -> None:
        while self._waiting:
            run_id, (job, verdict, environment) = self._waiting.popitem()
            self._running[run_id] = job
            self._prune(run_id, verdict, environment)

    def _curve(self, run_id: str) -> tuple[EpochMetrics, ...]:
        curve = self._curves[run_id]
        return tuple(curve[epoch] for epoch in sorted(curve))

    def _write_progress(self, run_id: str, job: Job, metrics: EpochMetrics) -> None:
        """Write the newest epoch at most every half second; a shorter training writes none."""
        now = time.monotonic()
        last = self._progress_written_at.setdefault(run_id, now - metrics.seconds)
        if now - last >= _SECONDS_BETWEEN_PROGRESS_WRITES:
            self._storage.runs.progress(self._lease, run_id, metrics)
            if job.trial_number is not None:
                self._search.write(job.trial_number)
            self._progress_written_at[run_id] = now

    def end(self, run_id: str, outcome: Outcome) -> None:
        """Store how a run ended: first the run, then Optuna's trial.

        An outcome without a curve, of a run that failed or was stopped, gets the epochs that the
        run reported.
        """
        job = self._running[run_id]
        outcome = failed_unless_finite(outcome)
        if not outcome.curve:
            outcome = with_curve(outcome, self._curve(run_id), self.gpus)
        run = self._storage.runs.end(self._lease, run_id, outcome)
        self._spent.epochs += run.epochs_done - run.epochs
        self._spent.ended += 1
        self._spent.seconds += run.seconds or 0.0
        if run.state == RunState.SUCCEEDED:
            self._environment = run.environment
        if job.trial_number is not None:
            self._search.tell(job.trial_number, outcome)
        del self._running[run_id], self._curves[run_id]
        self._progress_written_at.pop(run_id, None)

    def _refresh_control_flags(self) -> None:
        """Read at most every second whether the study is to pause, and its newest plan."""
        now = time.monotonic()
        if now < self._refresh_at:
            return
        self._refresh_at = now + _SECONDS_BETWEEN_CONTROL_FLAGS
        control_flags = self._storage.queue.control_flags(self._lease)
        self.is_paused, self._plan = control_flags.pause_requested, control_flags.plan

    @property
    def _may_begin(self) -> bool:
        return not self.is_paused and self._within_budget(may_begin)

    @property
    def _searching(self) -> bool:
        """True until all trials are asked, the budget ends the search, or finalists are chosen."""
        if self._finalists_chosen or self._search.asked >= self._plan.search_trials:
            return False
        return self._within_budget(may_search)

    def _within_budget(self, limit: Callable[[Plan, Spending, datetime, datetime], bool]) -> bool:
        return limit(self._plan, self._spent, self._started, self._clock())

    def _next_job(self) -> Job | None:
        if self._searching:
            return self._next_trial()
        while not self._jobs and self._batches and not self._runs_any(self._batches[0].results_of):
            self._refresh_at = 0.0
            self._refresh_control_flags()  # a stage begins with the newest budget
            if self._searching:
                return self._next_trial()
            batch = self._batches.popleft()
            if batch.results_of == Purpose.SEARCH:
                self._finalists_chosen = True
                self._prune_waiting_trials()
            store, study_id = self._storage.runs, self._lease.study_id
            runs = store.of_study(study_id) if batch.results_of else []
            earlier = store.earlier(study_id) if batch.results_of else []
            self._jobs.extend(batch.jobs(self._plan, runs, earlier))
        return self._jobs.popleft() if self._jobs else None

    def _next_trial(self) -> Job:
        number, ham_config, sparsity = self._search.ask()
        seeds = self._plan.search_seeds
        return Job(
            purpose=Purpose.SEARCH,
            setting=ham_config,
            seed=seeds[number % len(seeds)],
            trial_number=number,
            sparsity=sparsity,
        )

    def _runs_any(self, purpose: Purpose | None) -> bool:
        return any(job.purpose == purpose for job in self._running.values())

    def _begin(self, job: Job) -> TrainingAssignment | None:
        """Begin a job's run; None if an earlier runner or another study has trained it already.

        A run of another study is reused only after one training has ended under this runner,
        since that training shows code, data and device.
        """
        same_as = self._environment if self._plan.reuse else None
        epochs = self._plan.combination_at(job.sparsity).epochs(self._plan.recipe)
        run = self._storage.runs.begin(self._lease, job, epochs, same_as)
        if run.state != RunState.RUNNING:
            if job.trial_number is not None:
                self._tell_earlier_result(job.trial_number, run)
            return None
        self._spent.epochs += run.epochs
        self._running[run.id] = job
        self._curves[run.id] = {}
        return assignment_of(self._plan, run.id, job, resumes=run.attempt > 1)

    def _tell_earlier_result(self, number: int, run: Run) -> None:
        """Tell Optuna of a run that had ended before: its runner may have died before it could."""
        for point in self._storage.runs.curve(run.id):
            self._search.report(number, point.epoch, point.validation_accuracy)
        self._search.tell(number, outcome_of(run))
