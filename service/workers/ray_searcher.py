"""Lets a course drive a Ray Tune experiment through Tune's searcher interface.

Tune asks for the next configuration and tells results. Stock ``OptunaSearch`` is not used: it
tells Optuna that trials stopped early are complete, and leaves trials with a NaN running for ever.
"""

from __future__ import annotations

import logging
from typing import Any

from ray.tune.search import Searcher

from service.records import EpochMetrics, Outcome
from service.workers.course import Course
from service.workers.trainable import EPOCH, METRIC, OUTCOME

logger = logging.getLogger(__name__)

LOST_WORKER = "the worker that trained it was lost (killed, out of memory, or its machine went)"


class CourseSearcher(Searcher):
    """Adapts a :class:`Course`. Errors of the course are kept and end the experiment."""

    def __init__(self, course: Course) -> None:
        super().__init__(metric=METRIC, mode="max")
        self._course = course
        self._run_ids: dict[str, str] = {}
        self.error: Exception | None = None

    def suggest(self, trial_id: str) -> Any:
        """Return the next training, None to wait, or FINISHED."""
        if self.error is None:
            try:
                assignment = self._course.next()
            except Exception as error:
                self.error = error
            else:
                if assignment is not None:
                    self._run_ids[trial_id] = assignment.run_id
                    return {
                        "run": assignment.config.to_json(),
                        "measure_test": assignment.measure_test,
                    }
                if not self._course.finished:
                    return None
        return Searcher.FINISHED

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass on one epoch."""
        if EPOCH in result:
            self._guarded(
                self._course.report,
                self._run_ids[trial_id],
                EpochMetrics.model_validate_json(result[EPOCH]),
            )

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Pass on the end of a run; its last epoch comes with it, not before."""
        if result:
            self.on_trial_result(trial_id, result)
        if error or not result or OUTCOME not in result:
            outcome = Outcome(error=LOST_WORKER)
        else:
            outcome = Outcome.model_validate_json(result[OUTCOME])
        run_id = self._run_ids.pop(trial_id)
        facts = {"run_id": run_id, "seconds": outcome.seconds, "error": outcome.error}
        logger.info("a run ended", extra=facts)
        self._guarded(self._course.end, run_id, outcome)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing to pickle: Tune copies its searcher for a restore that is never asked for."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: a course is rebuilt from the database."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: a course is rebuilt from the database."""

    def _guarded(self, call: Any, *args: Any) -> None:
        """Keep the first error; Tune would print it and go on."""
        if self.error is None:
            try:
                call(*args)
            except Exception as error:
                logger.exception("the study stops")
                self.error = error
