"""Lets a study execution drive Ray Tune through Tune's searcher and trial scheduler interfaces.

Tune asks the searcher for the next config, and the trial scheduler after every epoch whether a
trial goes on. Two parts of Ray are not used, for these reasons:

- ``ray.tune.search.optuna.OptunaSearch`` tells Optuna that trials which were stopped early are
  complete, and leaves trials that end with NaN running for ever.
- Tune's trial schedulers forget their rungs at a restart, know neither seeds nor stages, and judge
  trials before the target sparsity is reached.
"""

from __future__ import annotations

import json
import logging
import math
from typing import Any, Protocol

from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from ham.client.records import EpochMetrics
from service.domain.search.early_stopping import GO_ON, Verdict
from service.records import Outcome
from service.workers.cluster.trainable import ENVIRONMENT, EPOCH, METRIC, OUTCOME, WARNING
from service.workers.cluster.worker_pool import WorkersLost
from service.workers.study.assignments import TrainingAssignment
from service.workers.study.execution import StudyExecution

logger = logging.getLogger(__name__)


class StudySearcher(Searcher):
    """Makes a :class:`StudyExecution` a Tune searcher.

    Attributes:
        study_id: id of the study.
        error: the first error of the execution, which ends the study; None so far.
    """

    def __init__(self, execution: StudyExecution) -> None:
        super().__init__(metric=METRIC, mode="max")
        self._execution = execution
        self.study_id = execution.study_id
        self._run_ids: dict[str, str] = {}
        self._ready: TrainingAssignment | None = None
        self._stopped: dict[str, tuple[Verdict, dict[str, Any]]] = {}
        self.error: Exception | None = None

    def suggest(self, trial_id: str, workers: float = math.inf) -> Any:
        """Return the config of the next training, None to wait, or FINISHED.

        Args:
            trial_id: Tune's id of the trial.
            workers: number of trainings that can run at the same time.
        """
        if self.error is None:
            try:
                assignment = self._next(workers)
            except Exception as error:
                self.error = error
            else:
                if assignment is not None:
                    self._run_ids[trial_id] = assignment.run_id
                    logger.info("a run begins", extra=_facts(assignment))
                    return {
                        "run_id": assignment.run_id,
                        "run": assignment.config.to_json(),
                        "measure_test": assignment.measure_test,
                        "decision_epochs": list(assignment.decision_epochs),
                        "may_be_promoted": assignment.may_be_promoted,
                        "resumes": assignment.resumes,
                    }
                if not self._execution.finished:
                    return None
        return Searcher.FINISHED

    @property
    def ready(self) -> bool:
        """True while a training has been chosen and waits for a free worker."""
        return self._ready is not None

    def _next(self, workers: float) -> TrainingAssignment | None:
        """Return the next training if a worker is free for it; otherwise keep it ready."""
        if self._ready is None:
            self._ready = self._execution.next(workers)
        if len(self._run_ids) >= workers:
            return None
        assignment, self._ready = self._ready, None
        return assignment

    def worth_going_on(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Pass on one epoch; return False if early stopping ends the trial after it."""
        if warning := result.get(WARNING):
            logger.warning("%s", warning, extra={"run_id": self._run_ids[trial_id]})
        if EPOCH not in result:
            return True
        metrics = EpochMetrics(**json.loads(result[EPOCH]))
        run_id = self._run_ids[trial_id]
        verdict = self._call(self._execution.report, run_id, metrics) or GO_ON
        if verdict.stop:
            self._stopped[trial_id] = verdict, json.loads(result[ENVIRONMENT])
        return not verdict.stop

    @property
    def over(self) -> bool:
        """True once nothing of the study remains to be trained, neither now nor later."""
        return self.error is None and self._execution.finished and not self._execution.is_paused

    def awaits_promotion(self, run_id: str) -> bool:
        """Tell whether a stopped run may be promoted, so that its checkpoint is still needed."""
        return self._execution.awaits_promotion(run_id)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Do nothing: the trial scheduler has passed the epoch on."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Pass on the end of a run, and its last epoch, which Tune reports only here.

        Every training ends with an outcome, also after an error. A trial without one was lost
        with its cluster: its run stays unfinished, and the study ends here, to be resumed.
        """
        if stopped := self._stopped.pop(trial_id, None):
            run_id = self._run_ids.pop(trial_id)
            logger.info("a run was stopped early", extra={"run_id": run_id})
            self._call(self._execution.stop, run_id, *stopped)
            return
        if result:
            self.worth_going_on(trial_id, result)
        run_id = self._run_ids.pop(trial_id)
        if error or not result or OUTCOME not in result:
            logger.error("the cluster and the training of a run were lost: %s", run_id)
            self.error = self.error or WorkersLost("Ray lost trainings and its pool of workers")
            return
        outcome = Outcome.model_validate_json(result[OUTCOME])
        facts = {"run_id": run_id, "seconds": outcome.seconds, "error": outcome.error}
        if outcome.traceback is not None:
            facts["exception"] = outcome.traceback
        logger.log(logging.WARNING if outcome.error else logging.INFO, "a run ended", extra=facts)
        self._call(self._execution.end, run_id, outcome)

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing to pickle: Tune copies its searcher for a restore that never happens."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: an execution is rebuilt from the database."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: an execution is rebuilt from the database."""

    def _call(self, method: Any, *args: Any) -> Any:
        """Call a method of the execution and keep its error; Tune would print it and go on."""
        if self.error is None:
            try:
                return method(*args)
            except Exception as error:
                logger.exception("the study stops")
                self.error = error
        return None


def _facts(assignment: TrainingAssignment) -> dict[str, Any]:
    config = assignment.config
    return {
        "run_id": assignment.run_id,
        "alpha": config.setting.alpha,
        "beta": config.setting.beta,
        "seed": config.seed,
    }


class EpochJudge(Protocol):
    """Decides after every epoch whether a trial goes on."""

    def worth_going_on(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Take note of one epoch; return False to end the trial after it."""


class StudyTrialScheduler(FIFOScheduler):
    """A trial scheduler for Tune: trials start in the study's order, and a judge may stop them."""

    def __init__(self, judge: EpochJudge) -> None:
        super().__init__()
        self._judge = judge

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide after an epoch that was not the last."""
        go_on = self._judge.worth_going_on(trial.trial_id, result)
        return str(self.CONTINUE if go_on else self.STOP)
