"""Trains one run as a Ray Tune trainable: it leases a warm worker and passes on its epochs.

The trainable does not train itself, so it is cheap to start. It reports in batches: a worker
trains for about a second, or up to the next epoch after which it may be stopped, between two
calls. Records travel as JSON text, since Tune flattens nested results.
"""

from __future__ import annotations

import json
import math
from collections import deque
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.exceptions import GetTimeoutError, RayError

from service.workers.cluster import ray_compat
from service.workers.cluster.checkpoint_files import (
    TrainingCheckpoint,
    read_checkpoint,
    write_checkpoint,
)
from service.workers.cluster.checkpoints import CheckpointStore, open_checkpoint_store, path_of
from service.workers.cluster.ray_compat import SHOULD_CHECKPOINT
from service.workers.cluster.trainer import Advance
from service.workers.cluster.worker_pool import WorkersLost, open_pool

if TYPE_CHECKING:
    from service.workers.cluster.ray_compat import StorageContext, TrainingResult

METRIC = "validation_accuracy"
EPOCH = "epoch_metrics"
OUTCOME = "outcome"
ENVIRONMENT = "environment"
WARNING = "warning"
LOST_WORKER = "the worker that trained it was lost (killed, out of memory, or its machine went)"
RETRIES_OF_LOST_WORKERS = 2

_BATCH_SECONDS = 1.0  # how late progress may be reported
_SECONDS_BETWEEN_CLOCK_READINGS = 1.0
_LARGEST_SHARE_OF_SAVING = 0.1
_SECONDS_AFTER_FAILED_SAVING = 60.0
_LAST = 2**31


class TrainRun(tune.Trainable):
    """Trains the run that its config names.

    After every epoch there is a checkpoint: Tune saves it, or the worker writes it where the
    epoch was short and the worker reaches the checkpoint store. An error of the training and a
    hang are outcomes with their reasons. Only a lost worker is worth a retry: the next worker
    continues from the last checkpoint. The next runner does the same if this one is lost.

    Config:
        run_id, run: id and config of the run.
        measure_test: whether the outcome includes the accuracy on test data.
        resources: what a worker occupies.
        seconds: longest time that the training may take.
        decision_epochs: epochs after which the training waits for Tune's decision.
        may_be_promoted: a training that Tune stops there may continue later, so it is saved.
        resumes: a checkpoint may exist already.
        checkpoints, folder: location of the checkpoint store, and the run's folder in it.
        checkpoint_seconds: least time between two checkpoints.

    Raises:
        WorkersLost: no worker can be had. No outcome is stored; the study is to be resumed.
    """

    _warning: str | None
    _checkpoint: TrainingCheckpoint | None
    _last_saved: float

    def clock(self) -> float:
        """Return the time in seconds; tests replace it."""
        return monotonic()

    def setup(self, config: dict[str, Any]) -> None:
        """Prepare the first training of this trainable."""
        self._worker_lease: Any = None
        self._worker: Any = None
        self._pending_advance: Any = None
        self._workers_seen: set[Any] = set()  # an actor whose handles are gone is looked up anew
        self._has_warned_of_slow_saving = False
        self._pool = open_pool()
        self._prepare(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepare the next training."""
        self._return_worker()
        self._prepare(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Return the result of one epoch; that of the last epoch has the outcome."""
        if not self._results:
            self._results.extend(self._advance())
        result = self._results.popleft()
        if self._warning is not None:
            result[WARNING], self._warning = self._warning, None
        return result

    def train_buffered(self, *_limits: float) -> list[dict[str, Any]]:
        """Return the results of all epochs that a worker trains in about a second.

        Tune's own limits are ignored, since Tune passes the longest time and the largest number
        of results in each other's place. A result after which Tune is to save comes alone:
        otherwise Tune would continue the training while it saves.
        """
        if not self._results:
            self._results.extend(self._advance())
        results = [self.train()]
        while self._results and not self._results[0].get(SHOULD_CHECKPOINT):
            results.append(self.train())
        return results

    def save(self, checkpoint_dir: str | None = None) -> TrainingResult:
        """Let Tune save a checkpoint. If that fails, the training goes on, with a warning."""
        started = self.clock()
        try:
            storage = self._open_storage()
            with TemporaryDirectory() as folder:
                result = super().save(checkpoint_dir or folder)
            self._store().remove_older(self._folder, ray_compat.last_number(storage))
        except Exception as error:
            self._warning = f"its checkpoint could not be saved: {type(error).__name__}: {error}"
            result = ray_compat.result_without_checkpoint()
            self._save_again_at = self.clock() + _SECONDS_AFTER_FAILED_SAVING
        else:
            self._warn_if_slow(self.clock() - started, started - self._last_saved)
        self._last_saved = self.clock()
        return result

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the worker's checkpoint into a folder."""
        content = self._answer(self._worker.checkpoint.remote())
        write_checkpoint(checkpoint_dir, TrainingCheckpoint(self._epochs_done, content))

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Read the checkpoint from which a worker may continue."""
        self._checkpoint = read_checkpoint(checkpoint)

    def cleanup(self) -> None:
        """Give the worker back to the pool."""
        self._return_worker()

    def _prepare(self, config: dict[str, Any]) -> None:
        self._config = config
        self._results: deque[dict[str, Any]] = deque()
        self._epochs_done = 0
        self._environment = "{}"
        self._started = self._last_saved = math.inf
        self._save_again_at = -math.inf
        self._folder: str = config["folder"]
        self._set_storage(None)  # the next runner would not find Tune's own
        self._warning = None
        self._lost_workers = 0
        self._request_worker()

    def _advance(self) -> list[dict[str, Any]]:
        """Let a worker train for about a second and return the results for Tune."""
        while self._lost_workers <= RETRIES_OF_LOST_WORKERS:
            try:
                return self._results_of(self._train())
            except GetTimeoutError:
                self._return_worker(lost=True)
                return [self._failed(self._too_slow())]
            except RayError:
                self._warning = LOST_WORKER
                self._return_worker(lost=True)
                self._lost_workers += 1
        return [self._failed(LOST_WORKER)]

    def _train(self) -> Advance:
        if self._worker is None:
            self._begin()
        pending, self._pending_advance = self._pending_advance or self._ask_to_advance(), None
        advance: Advance = self._answer(pending)
        self._environment = advance.environment
        return advance

    def _ask_to_advance(self) -> Any:
        decisions = (at for at in self._config["decision_epochs"] if at > self._epochs_done)
        return self._worker.advance.remote(_BATCH_SECONDS, min(decisions, default=_LAST))

    def _answer(self, reference: Any) -> Any:
        """Wait for the worker, at most for the time that is left to the training.

        Raises:
            GetTimeoutError: that time is over.
        """
        while True:
            left = max(self._started + self._config["seconds"] - self.clock(), 0)
            try:
                return ray.get(reference, timeout=min(left, _SECONDS_BETWEEN_CLOCK_READINGS))
            except GetTimeoutError:
                if left <= _SECONDS_BETWEEN_CLOCK_READINGS:
                    raise

    def _request_worker(self) -> None:
        run, myself = self._config, ray.get_runtime_context().current_actor
        self._worker_lease = self._pool.lease.remote(run["run_id"], run["resources"], myself)

    def _begin(self) -> None:
        run = self._config
        if self._worker_lease is None:
            self._request_worker()
        try:
            self._worker = ray.get(self._worker_lease)
        except RayError as error:
            raise WorkersLost(f"no worker for {run['run_id']}: {error}") from error
        self._workers_seen.add(self._worker)
        checkpoint, folder = self._newest_checkpoint(), self._folder_for_workers()
        self._worker.begin.remote(
            run["run"], run["measure_test"], checkpoint, folder, run["checkpoint_seconds"]
        )
        self._started = self._last_saved = self.clock()

    def _results_of(self, advance: Advance) -> list[dict[str, Any]]:
        results = [self._result_of(epoch) for epoch in advance.epochs]
        if results:
            self._epochs_done = _number(advance.epochs[-1])
        outcome = advance.outcome
        if outcome is None:
            due = advance.checkpoint_is_due and self.clock() >= self._save_again_at
            results[-1][SHOULD_CHECKPOINT] = due or self._may_stop_for_promotion()
            if not due and self._epochs_done not in self._config["decision_epochs"]:
                self._pending_advance = self._ask_to_advance()  # trains while Tune reads these
            return results
        self._return_worker()
        if "error" in json.loads(outcome):
            return [*results, {METRIC: math.nan, "done": True, OUTCOME: outcome}]
        results[-1] |= {"done": True, OUTCOME: outcome}
        return results

    def _may_stop_for_promotion(self) -> bool:
        """Tell whether Tune may stop the training after this epoch, to be promoted later."""
        at_decision = self._epochs_done in self._config["decision_epochs"]
        return bool(self._config["may_be_promoted"]) and at_decision

    def _newest_checkpoint(self) -> bytes | None:
        """Return the newest checkpoint of the run that Tune saved or a worker wrote."""
        if not (self._config["resumes"] or self._lost_workers):
            return None
        try:
            both = (self._checkpoint_of_tune(), self._checkpoint_of_workers())
        except Exception as error:
            self._warning = f"its checkpoint could not be read: {type(error).__name__}: {error}"
            return None
        found = [checkpoint for checkpoint in both if checkpoint is not None]
        return max(found).content if found else None

    def _checkpoint_of_tune(self) -> TrainingCheckpoint | None:
        """Return the newest complete checkpoint that Tune saved."""
        storage = self._open_storage()
        for number in self._store().checkpoint_numbers(self._folder):
            self.restore(ray_compat.checkpoint_at(storage, number))
            if self._checkpoint is not None:
                checkpoint, self._checkpoint = self._checkpoint, None
                return checkpoint
        return None

    def _checkpoint_of_workers(self) -> TrainingCheckpoint | None:
        """Return the newest complete checkpoint that a worker wrote."""
        folder = path_of(self._config["checkpoints"], self._folder)
        return read_checkpoint(folder) if folder is not None and folder.is_dir() else None

    def _folder_for_workers(self) -> Path | None:
        """Make the folder into which workers write; None if there can be none."""
        folder = path_of(self._config["checkpoints"], self._folder)
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
        except OSError:  # the worker leaves its checkpoints to Tune, whose error is reported
            return None
        return folder

    def _warn_if_slow(self, saving: float, training: float) -> None:
        """Warn once per trainable if saving is slow compared with the training before it."""
        if self._has_warned_of_slow_saving or self._may_stop_for_promotion():
            return
        if warning := slow_saving_warning(saving, training):
            self._has_warned_of_slow_saving = True
            self._warning = warning

    def _open_storage(self) -> StorageContext:
        """Return Tune's storage of this run, at the same location under every runner."""
        if self._run_storage is None:
            store, (study, run) = self._store(), self._folder.split("/")
            storage = ray_compat.storage_of_a_run(store.folder, study, run, store.files)
            self._set_storage(storage)
            return storage
        return self._run_storage

    def _set_storage(self, storage: StorageContext | None) -> None:
        self._run_storage = storage
        ray_compat.set_storage(self, storage)

    def _store(self) -> CheckpointStore:
        return open_checkpoint_store(self._config["checkpoints"])

    def _return_worker(self, lost: bool = False) -> None:
        if self._worker_lease is not None:
            if lost:
                self._workers_seen.discard(self._worker)
            self._worker_lease = self._worker = self._pending_advance = None
            self._pool.give_back.remote(self._config["run_id"], lost)

    def _too_slow(self) -> str:
        return (
            f"hung or too slow: not done within {self._config['seconds']:.0f} s "
            f"(HAMTUNE_RUN_SECONDS); {self._epochs_done} epochs were reported"
        )

    def _result_of(self, epoch: str) -> dict[str, Any]:
        accuracy = json.loads(epoch)["validation_accuracy"]
        return {METRIC: accuracy, EPOCH: epoch, ENVIRONMENT: self._environment, "done": False}

    def _failed(self, reason: str) -> dict[str, Any]:
        outcome = {"error": reason, "environment": json.loads(self._environment)}
        return {METRIC: math.nan, "done": True, OUTCOME: json.dumps(outcome)}


def slow_saving_warning(saving: float, training: float) -> str | None:
    """Return a warning if saving took more than a tenth of the time, else None.

    Args:
        saving: seconds that the checkpoint took.
        training: seconds of training before it.
    """
    if saving <= _LARGEST_SHARE_OF_SAVING * (saving + training):
        return None
    return (
        f"saving its checkpoint took {saving:.2f} s after {training:.2f} s of training; "
        "HAMTUNE_CHECKPOINT_SECONDS=60 would save one a minute, and checkpoints of short epochs "
        "cost little if HAMTUNE_CHECKPOINTS is a folder that workers reach too"
    )


def _number(epoch: str) -> int:
    return int(json.loads(epoch)["epoch"])
