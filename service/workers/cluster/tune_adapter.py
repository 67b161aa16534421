"""Lets a course drive a Ray Tune experiment through Tune's searcher and scheduler interfaces.

Tune asks the searcher for the next configuration, and the scheduler after every epoch whether to
go on. Stock ``OptunaSearch`` is not used: it tells Optuna that trials stopped early are complete,
and leaves trials with a NaN running for ever. Nor are Tune's schedulers: their rungs forget what
was before a restart, know no seeds or stages, and judge before the target sparsity is reached.
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
from service.workers.study.execution import StudyExecution, TrainingAssignment

logger = logging.getLogger(__name__)


class StudySearcher(Searcher):
    """Adapts a :class:`StudyExecution`. Errors of the course are kept and end the experiment."""

    def __init__(self, course: StudyExecution) -> None:
        super().__init__(metric=METRIC, mode="max")
        self._course = course
        self.study_id = course.study_id
        self._run_ids: dict[str, str] = {}
        self._ready: TrainingAssignment | None = None
        self._stopped: dict[str, tuple[Verdict, dict[str, Any]]] = {}
        self.error: Exception | None = None

    def suggest(self, trial_id: str, workers: float = math.inf) -> Any:
        """Return the next training, None to wait, or FINISHED.

        Args:
            trial_id: what Tune calls it.
            workers: trainings that can be under way at once.
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
                        "pauses": list(assignment.pauses),
                        "may_come_back": assignment.may_come_back,
                        "resumes": assignment.resumes,
                    }
                if not self._course.finished:
                    return None
        return Searcher.FINISHED

    @property
    def ready(self) -> bool:
        """True while a training has been chosen that no worker is free for."""
        return self._ready is not None

    def _next(self, workers: float) -> TrainingAssignment | None:
        """Return the next training if a worker is free for it; until then have it ready."""
        if self._ready is None:
            self._ready = self._course.next(workers)
        if len(self._run_ids) >= workers:
            return None
        assignment, self._ready = self._ready, None
        return assignment

    def worth_going_on(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Pass on one epoch; False where early stopping ends the trial after it."""
        if warning := result.get(WARNING):
            logger.warning("%s", warning, extra={"run_id": self._run_ids[trial_id]})
        if EPOCH not in result:
            return True
        metrics = EpochMetrics(**json.loads(result[EPOCH]))
        verdict = self._guarded(self._course.report, self._run_ids[trial_id], metrics) or GO_ON
        if verdict.stop:
            self._stopped[trial_id] = verdict, json.loads(result[ENVIRONMENT])
        return not verdict.stop

    @property
    def over(self) -> bool:
        """True once nothing of the study is left to be trained, now or later."""
        return self.error is None and self._course.finished and not self._course.is_paused

    def is_set_aside(self, run_id: str) -> bool:
        """Tell whether a run that was stopped may come back, and needs its state then."""
        return self._course.is_set_aside(run_id)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Do nothing: the scheduler has passed the epoch on."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Pass on the end of a run; its last epoch comes with it, not before.

        Whatever befalls a training is an outcome. A trial without one was lost with its cluster:
        nothing is stored, and the study ends here, to be taken up again.
        """
        if stopped := self._stopped.pop(trial_id, None):
            run_id = self._run_ids.pop(trial_id)
            logger.info("a run was stopped early", extra={"run_id": run_id})
            self._guarded(self._course.stop, run_id, *stopped)
            return
        if result:
            self.worth_going_on(trial_id, result)
        run_id = self._run_ids.pop(trial_id)
        if error or not result or OUTCOME not in result:
            logger.error(
                "a training was lost with all that could have gone on with it: %s", run_id
            )
            self.error = self.error or WorkersLost("Ray lost trainings and its pool of workers")
            return
        outcome = Outcome.model_validate_json(result[OUTCOME])
        facts = {"run_id": run_id, "seconds": outcome.seconds, "error": outcome.error}
        if outcome.traceback is not None:
            facts["exception"] = outcome.traceback
        logger.log(logging.WARNING if outcome.error else logging.INFO, "a run ended", extra=facts)
        self._guarded(self._course.end, run_id, outcome)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing to pickle: Tune copies its searcher for a restore that is never asked for."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: a course is rebuilt from the database."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: a course is rebuilt from the database."""

    def _guarded(self, call: Any, *args: Any) -> Any:
        """Keep the first error; Tune would print it and go on."""
        if self.error is None:
            try:
                return call(*args)
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


class Decides(Protocol):
    """Whoever knows which trials are worth going on."""

    def worth_going_on(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Take note of one epoch; False ends the trial after it."""


class StudyTrialScheduler(FIFOScheduler):
    """Runs trials in the order of the course, and stops those that it gives up."""

    def __init__(self, searcher: Decides) -> None:
        super().__init__()
        self._searcher = searcher

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide after an epoch that was not the last."""
        go_on = self._searcher.worth_going_on(trial.trial_id, result)
        return str(self.CONTINUE if go_on else self.STOP)
