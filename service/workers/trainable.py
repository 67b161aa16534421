"""One training as a Ray Tune trainable: it leases a warm worker and passes on what that reports.

The trainable itself trains nothing, so it is light, and Tune's results are batched: a worker
trains for about a second, or to the next epoch at which somebody may stop it, between two calls.
Records travel as JSON text, since Tune flattens nested results.
"""

from __future__ import annotations

import json
import logging
import math
from collections import deque
from pathlib import Path
from time import monotonic
from typing import Any

import ray
from ray import tune
from ray.exceptions import GetTimeoutError, RayError

from service.workers.checkpoints import Checkpoint
from service.workers.pool import WorkersLost, open_pool

logger = logging.getLogger(__name__)

METRIC = "validation_accuracy"
EPOCH = "epoch_metrics"
OUTCOME = "outcome"
ENVIRONMENT = "environment"
LOST_WORKER = "the worker that trained it was lost (killed, out of memory, or its machine went)"
RETRIES_OF_LOST_WORKERS = 2

_BATCH_SECONDS = 1.0  # how far progress may lag
_SAVING_SHARE = 0.01
_LAST = 2**31


class TrainRun(tune.Trainable):
    """Trains what its config names.

    Config: ``run_id``, ``run`` (the run's config), ``measure_test``, ``resources`` of a worker,
    ``seconds`` that the training may take, ``pauses`` (epochs after which it waits for Tune's
    decision), ``may_come_back`` (its state is kept there), ``checkpoint`` (the file of its state),
    ``checkpoint_seconds`` between two states.

    An error of the training is a result like any other, with its reason, and so is a hang. A lost
    worker is the one cause worth a retry: another goes on from the state saved last. So does
    whoever takes the study up again after its runner was lost.

    Raises:
        WorkersLost: whoever hears of it stores no outcome: the study is to be taken up again.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Prepare the first training of this trainable."""
        self._worker: Any = None
        self._pool = open_pool()
        self._prepare(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepare the next training."""
        self._let_go()
        self._prepare(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Report one epoch, the last one with the outcome."""
        if not self._reports:
            self._reports.extend(self._advance(0))
        return self._reports.popleft()

    def train_buffered(self, *_limits: float) -> list[dict[str, Any]]:
        """Report all epochs that a worker trains in about a second: one call instead of many.

        Tune's own limits are left aside: it passes the longest time and the greatest number of
        results in each other's place.
        """
        if not self._reports:
            self._reports.extend(self._advance(_BATCH_SECONDS))
        results = [self.train()]
        while self._reports:
            results.append(self.train())
        return results

    def cleanup(self) -> None:
        """Let the worker go."""
        self._let_go()

    def _prepare(self, config: dict[str, Any]) -> None:
        self._config = config
        self._reports: deque[dict[str, Any]] = deque()
        self._epochs_done = 0
        self._environment = "{}"
        self._started = self._saved_at = math.inf
        self._saving_took = 0.0
        self._checkpoint = Checkpoint(Path(config["checkpoint"]))
        self._losses = 0

    def _advance(self, seconds: float) -> list[dict[str, Any]]:
        """Let a worker train for a while and return what Tune is to hear of it."""
        while self._losses <= RETRIES_OF_LOST_WORKERS:
            try:
                return self._results(*self._train_for(seconds))
            except GetTimeoutError:
                self._let_go(lost=True)
                return [self._failed(self._too_slow())]
            except RayError:
                logger.warning("%s: %s", self._config["run_id"], LOST_WORKER)
                self._let_go(lost=True)
                self._losses += 1
        return [self._failed(LOST_WORKER)]

    def _train_for(self, seconds: float) -> tuple[list[str], str | None]:
        if self._worker is None:
            self._begin()
        until = min((at for at in self._config["pauses"] if at > self._epochs_done), default=_LAST)
        epochs, outcome, environment = self._answer(self._worker.advance.remote(seconds, until))
        self._environment = environment
        if outcome is None and (self._waits(epochs) or self._saving_is_due()):
            self._save()
        return epochs, outcome

    def _answer(self, reference: Any) -> Any:
        """Wait for the worker, for no longer than the training may still take."""
        left = self._started + self._config["seconds"] - monotonic()
        return ray.get(reference, timeout=max(left, 0))

    def _begin(self) -> None:
        run = self._config
        lease = self._pool.lease.remote(run["run_id"], run["resources"], self._myself())
        try:
            self._worker = ray.get(lease)
        except RayError as error:
            raise WorkersLost(f"no worker for {run['run_id']}: {error}") from error
        self._worker.begin.remote(run["run"], run["measure_test"], self._checkpoint.read())
        self._started = self._saved_at = monotonic()

    def _results(self, epochs: list[str], outcome: str | None) -> list[dict[str, Any]]:
        results = [self._reported(epoch) for epoch in epochs]
        if results:
            self._epochs_done = _number(epochs[-1])
        if outcome is None:
            return results
        self._let_go()
        if "error" in json.loads(outcome):
            return [*results, {METRIC: math.nan, "done": True, OUTCOME: outcome}]
        results[-1] |= {"done": True, OUTCOME: outcome}
        return results

    def _save(self) -> None:
        started = monotonic()
        self._checkpoint.write(self._answer(self._worker.state.remote()))
        self._saved_at = monotonic()
        self._saving_took = self._saved_at - started

    def _waits(self, epochs: list[str]) -> bool:
        """Tell whether the training may be set aside now, to go on another time."""
        pauses = self._config["pauses"] if self._config["may_come_back"] else ()
        return _number(epochs[-1]) in pauses

    def _saving_is_due(self) -> bool:
        """Rarely enough to cost less than a hundredth of the time; short trainings need none."""
        pause = max(self._config["checkpoint_seconds"], self._saving_took / _SAVING_SHARE)
        return monotonic() - self._saved_at >= pause

    def _let_go(self, lost: bool = False) -> None:
        if self._worker is not None:
            self._worker = None
            self._pool.give_back.remote(self._config["run_id"], lost)

    def _too_slow(self) -> str:
        return (
            f"hung or too slow: not done within {self._config['seconds']:.0f} s "
            f"(HAMTUNE_RUN_SECONDS); {self._epochs_done} epochs were reported"
        )

    def _reported(self, epoch: str) -> dict[str, Any]:
        accuracy = json.loads(epoch)["validation_accuracy"]
        return {METRIC: accuracy, EPOCH: epoch, ENVIRONMENT: self._environment, "done": False}

    def _failed(self, reason: str) -> dict[str, Any]:
        outcome = {"error": reason, "environment": json.loads(self._environment)}
        return {METRIC: math.nan, "done": True, OUTCOME: json.dumps(outcome)}

    def _myself(self) -> Any:
        return ray.get_runtime_context().current_actor


def _number(epoch: str) -> int:
    return int(json.loads(epoch)["epoch"])
