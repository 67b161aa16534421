"""The course of one study: which training comes next, and what becomes of its result.

Everything is decided from the plan and the stored runs, so a course that is cut short anywhere
is taken up again by building a new one over the same storage.
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
from ham.config import RunConfig
from service.clock import Clock, utc_now
from service.domain.planning.budget_limits import Spending, may_begin, may_search
from service.domain.planning.estimates import seconds_of_a_training
from service.domain.search.early_stopping import GO_ON, Verdict, decisions, judge, promotable
from service.records import Job, Outcome, StudyLease
from service.storage import Storage
from service.workers.study.optuna_search import Search
from service.workers.study.stages import JOB_BATCHES, PARETO_JOB_BATCHES

_SECONDS_BETWEEN_PROGRESS_WRITES = 0.5
_SECONDS_BETWEEN_ORDERS = 1.0
_SECONDS_OF_A_SHORT_TRAINING = 60.0


class TrainingAssignment(NamedTuple):
    """A training to be done now.

    Attributes:
        pauses: epochs after which it waits whether to go on.
        may_come_back: where it does not go on, its state is to be kept.
        resumes: it has begun before, and may go on from a state that was kept.
    """

    run_id: str
    config: RunConfig
    measure_test: bool
    pauses: tuple[int, ...]
    may_come_back: bool
    resumes: bool


class SetAside(NamedTuple):
    """A search trial that waits at a rung until it is among the best there."""

    job: Job
    verdict: Verdict
    environment: dict[str, Any]


class StudyExecution:
    """Hands out trainings stage by stage and stores what comes back.

    Args:
        storage: where runs are kept.
        claim: the right to write to this study.
        plan: what was planned.
        search: Optuna's side of it.
        clock: by which the cap on wall time is kept.

    Attributes:
        study_id: the study that it belongs to.
        is_paused: people want no further training of this study for now.
        gpus: what a training holds of GPUs, for the cost of those that do not say it themselves.
    """

    def __init__(
        self,
        storage: Storage,
        claim: StudyLease,
        plan: Plan,
        search: Search,
        clock: Clock = utc_now,
    ) -> None:
        self._clock = clock
        self._storage = storage
        self._claim = claim
        self.study_id = claim.study_id
        self._plan = plan
        self._search = search
        self._under_way: dict[str, Job] = {}
        self._set_aside: dict[str, SetAside] = {}
        self._curves: dict[str, dict[int, EpochMetrics]] = {}
        self._environment: dict[str, Any] | None = None
        self._started = storage.studies.get(claim.study_id).started_at or clock()
        runs = storage.runs.of_study(claim.study_id)
        self._spent = Spending.of(runs)
        self._finalists_chosen = any(
            run.purpose == Purpose.SCREENING and run.setting not in plan.baselines for run in runs
        )
        self._written: dict[str, float] = {}
        self._jobs: deque[Job] = deque()
        self._steps = deque(PARETO_JOB_BATCHES if plan.is_multi_objective else JOB_BATCHES)
        self._ask_again_at = 0.0
        self.is_paused = False
        self.gpus = 0.0

    @property
    def finished(self) -> bool:
        """True once every training has ended and its result is stored, or all that may begin."""
        if self._under_way:
            return False
        return not (self._may_begin and (self._searching or self._steps or self._jobs))

    def next(self, workers: float = math.inf) -> TrainingAssignment | None:
        """Return the next training; None while results under way must come in first, or on hold.

        Args:
            workers: trainings that can be under way at once; of short ones there is one more, so
                that no worker waits until it has been chosen.

        Raises:
            StudyFailed: nothing that could be confirmed came out of a stage.
            StaleLease: another runner has taken the study over.
        """
        self._refresh_control_flags()
        if not self._has_room(workers):
            return None
        if not self._may_begin and not self.is_paused:
            self._give_up_those_set_aside()
        if self._may_begin and (promoted := self._promoted()):
            return promoted
        while self._may_begin and (job := self._next_job()) is not None:
            if assignment := self._begin(job):
                return assignment
        return None

    def _has_room(self, workers: float) -> bool:
        """Tell whether a worker is free, or soon will be.

        A search on one worker waits for each result, and is the same whenever it is repeated. What
        is promoted, and whether a cap on wall time is reached, is not told ahead of time either.
        """
        ahead = len(self._under_way) - workers
        if ahead != 0:
            return ahead < 0
        if self._promotes or self._plan.budget.max_seconds is not None:
            return False
        waits_for_results = workers == 1 and self._searching
        ended = self._spent.ended
        seconds = self._spent.seconds / ended if ended else self._seconds_expected
        return seconds < _SECONDS_OF_A_SHORT_TRAINING and not waits_for_results

    @cached_property
    def _seconds_expected(self) -> float:
        return seconds_of_a_training(self._plan, self._storage.runs)

    def report(self, run_id: str, metrics: EpochMetrics) -> Verdict:
        """Note an epoch of a run under way, and say whether it is worth going on."""
        job = self._under_way[run_id]
        if metrics.epoch in self._curves[run_id]:  # it goes on from a checkpoint
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
            return GO_ON  # that was decided before its runner was lost
        return judge(self._plan, history, job.trial_number, metrics.epoch)

    def stop(self, run_id: str, verdict: Verdict, environment: dict[str, Any]) -> None:
        """Store that early stopping ended a run after the last epoch that it reported.

        Where trials are promoted, the run is set aside instead: it may come back.
        """
        if self._promotes:
            job = self._under_way.pop(run_id)
            self._set_aside[run_id] = SetAside(job, verdict, environment)
        else:
            self._prune(run_id, verdict, environment)

    def is_set_aside(self, run_id: str) -> bool:
        """Tell whether a run waits for its promotion, so that its state has to be kept."""
        return run_id in self._set_aside

    def _prune(self, run_id: str, verdict: Verdict, environment: dict[str, Any]) -> None:
        curve = self._curve(run_id)
        self.end(
            run_id,
            Outcome(
                pruned=True,
                validation_accuracy=curve[-1].validation_accuracy,
                seconds=sum(point.seconds for point in curve),
                environment=environment,
                measures={
                    "early_stopping": {
                        "rule": self._plan.early_stopping,
                        "rank_correlation": verdict.rank_correlation,
                    }
                },
            ),
        )

    @property
    def _promotes(self) -> bool:
        return self._plan.early_stopping == "asha_promotion"

    def _promoted(self) -> TrainingAssignment | None:
        """Take up a trial that has come to be among the best of its rung."""
        history = self._search.history() if self._set_aside else None
        for run_id, (job, *_) in self._set_aside.items():
            assert history is not None and job.trial_number is not None
            if promotable(self._plan, history, job.trial_number):
                del self._set_aside[run_id]
                self._under_way[run_id] = job
                return self._assignment(run_id, job, resumes=True)
        return None

    def _give_up_those_set_aside(self) -> None:
        while self._set_aside:
            run_id, (job, verdict, environment) = self._set_aside.popitem()
            self._under_way[run_id] = job
            self._prune(run_id, verdict, environment)

    def _curve(self, run_id: str) -> tuple[EpochMetrics, ...]:
        curve = self._curves[run_id]
        return tuple(curve[epoch] for epoch in sorted(curve))

    def _write_progress(self, run_id: str, job: Job, metrics: EpochMetrics) -> None:
        """Write the newest epoch now and then; what is over at once, at its end alone."""
        now = time.monotonic()
        last = self._written.setdefault(run_id, now - metrics.seconds)
        if now - last >= _SECONDS_BETWEEN_PROGRESS_WRITES:
            self._storage.runs.progress(self._claim, run_id, metrics)
            if job.trial_number is not None:
                self._search.write(job.trial_number)
            self._written[run_id] = now

    def end(self, run_id: str, outcome: Outcome) -> None:
        """Store how a run ended: our run first, then Optuna's trial.

        A run that brings no curve of its own, since it failed or was stopped, has trained the
        epochs that it reported.
        """
        job = self._under_way[run_id]
        outcome = _judged(outcome)
        if not outcome.curve:
            outcome = self._with_cost(outcome, self._curve(run_id))
        run = self._storage.runs.end(self._claim, run_id, outcome)
        self._spent.epochs += run.epochs_done - run.epochs
        self._spent.ended += 1
        self._spent.seconds += run.seconds or 0.0
        if run.state == RunState.SUCCEEDED:
            self._environment = run.environment
        if job.trial_number is not None:
            self._search.tell(job.trial_number, outcome)
        del self._under_way[run_id], self._curves[run_id]
        self._written.pop(run_id, None)

    def _with_cost(self, outcome: Outcome, curve: tuple[EpochMetrics, ...]) -> Outcome:
        seconds = outcome.seconds or sum(point.seconds for point in curve)
        measures = {**outcome.measures, "cost": {"gpu_seconds": self.gpus * seconds}}
        update = {"curve": curve, "seconds": seconds, "measures": measures}
        return outcome.model_copy(update=update)

    def _refresh_control_flags(self) -> None:
        """See whether people want the study held, or another budget."""
        now = time.monotonic()
        if now < self._ask_again_at:
            return
        self._ask_again_at = now + _SECONDS_BETWEEN_ORDERS
        control_flags = self._storage.queue.control_flags(self._claim)
        self.is_paused, self._plan = control_flags.pause_requested, control_flags.plan

    @property
    def _may_begin(self) -> bool:
        return not self.is_paused and self._allowed(may_begin)

    @property
    def _searching(self) -> bool:
        """True until all trials are asked, or a cap forbids more; never once finalists are out."""
        if self._finalists_chosen or self._search.asked >= self._plan.search_trials:
            return False
        return self._allowed(may_search)

    def _allowed(self, cap: Callable[[Plan, Spending, datetime, datetime], bool]) -> bool:
        return cap(self._plan, self._spent, self._started, self._clock())

    def _next_job(self) -> Job | None:
        if self._searching:
            return self._next_trial()
        while not self._jobs and self._steps and not self._awaits(self._steps[0].results_of):
            self._ask_again_at = 0.0
            self._refresh_control_flags()  # a stage begins with the newest budget
            if self._searching:
                return self._next_trial()
            step = self._steps.popleft()
            if step.results_of == Purpose.SEARCH:
                self._finalists_chosen = True
                self._give_up_those_set_aside()
            store, study_id = self._storage.runs, self._claim.study_id
            runs = store.of_study(study_id) if step.results_of else []
            earlier = store.earlier(study_id) if step.results_of else []
            self._jobs.extend(step.jobs(self._plan, runs, earlier))
        return self._jobs.popleft() if self._jobs else None

    def _next_trial(self) -> Job:
        number, setting, sparsity = self._search.ask()
        seeds = self._plan.search_seeds
        return Job(
            purpose=Purpose.SEARCH,
            setting=setting,
            seed=seeds[number % len(seeds)],
            trial_number=number,
            sparsity=sparsity,
        )

    def _awaits(self, purpose: Purpose | None) -> bool:
        return any(job.purpose == purpose for job in self._under_way.values())

    def _begin(self, job: Job) -> TrainingAssignment | None:
        """Begin a job's run, unless an earlier runner or another study has already done it.

        What may be reused is known from the first training that ends under this runner: it tells
        what code, data and device are at work here.
        """
        same_as = self._environment if self._plan.reuse else None
        epochs = self._plan.combination_at(job.sparsity).epochs(self._plan.recipe)
        run = self._storage.runs.begin(self._claim, job, epochs, same_as)
        if run.state != RunState.RUNNING:
            if job.trial_number is not None:
                self._tell_what_ended(job.trial_number, run)
            return None
        self._spent.epochs += run.epochs
        self._under_way[run.id] = job
        self._curves[run.id] = {}
        return self._assignment(run.id, job, resumes=run.attempt > 1)

    def _assignment(self, run_id: str, job: Job, resumes: bool) -> TrainingAssignment:
        searches = job.purpose == Purpose.SEARCH
        config = RunConfig(
            combination=self._plan.combination_at(job.sparsity),
            recipe=self._plan.recipe,
            setting=job.setting,
            seed=job.seed,
        )
        return TrainingAssignment(
            run_id,
            config,
            measure_test=job.purpose == Purpose.CONFIRMATION,
            pauses=decisions(self._plan) if searches else (),
            may_come_back=searches and self._promotes,
            resumes=resumes,
        )

    def _tell_what_ended(self, number: int, run: Run) -> None:
        """Tell Optuna of a run that ended elsewhere: its runner may have died before it could."""
        for point in self._storage.runs.curve(run.id):
            self._search.report(number, point.epoch, point.validation_accuracy)
        self._search.tell(number, _outcome(run))


def _judged(outcome: Outcome) -> Outcome:
    """An outcome without a finite accuracy is a failure, whoever brings it."""
    accuracy = outcome.validation_accuracy
    if outcome.error is None and (accuracy is None or not math.isfinite(accuracy)):
        reason = f"the validation accuracy is {accuracy}"
        return outcome.model_copy(update={"error": reason, "validation_accuracy": None})
    return outcome


def _outcome(run: Run) -> Outcome:
    return Outcome(
        validation_accuracy=run.validation_accuracy,
        measures=run.measures,
        error=run.error,
        pruned=run.state == RunState.PRUNED,
    )
