"""One training as a Ray Tune trainable: it leases a warm worker and passes on what that reports.

The trainable itself trains nothing, so it is light, and Tune's results are batched: a worker
trains for about a second, or to the next epoch at which somebody may stop it, between two calls.
Records travel as JSON text, since Tune flattens nested results.
"""

from __future__ import annotations

import json
import math
from collections import deque
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import ray
from ray import tune
from ray.exceptions import GetTimeoutError, RayError
from ray.train._internal.session import _TrainingResult
from ray.train._internal.storage import StorageContext
from ray.tune.result import SHOULD_CHECKPOINT

from service.workers.cluster.checkpoint_files import State, read_state, write_state
from service.workers.cluster.checkpoints import CheckpointStore, open_checkpoint_store, path_of
from service.workers.cluster.trainer import Advance
from service.workers.cluster.worker_pool import WorkersLost, open_pool

METRIC = "validation_accuracy"
EPOCH = "epoch_metrics"
OUTCOME = "outcome"
ENVIRONMENT = "environment"
WARNING = "warning"
LOST_WORKER = "the worker that trained it was lost (killed, out of memory, or its machine went)"
RETRIES_OF_LOST_WORKERS = 2

_BATCH_SECONDS = 1.0  # how far progress may lag
_DEAR_SHARE = 0.1
_SECONDS_AFTER_FAILED_SAVING = 60.0
_LAST = 2**31


class TrainRun(tune.Trainable):
    """Trains what its config names.

    Config: ``run_id``, ``run`` (the run's config), ``measure_test``, ``resources`` of a worker,
    ``seconds`` that the training may take, ``pauses`` (epochs after which it waits for Tune's
    decision), ``may_come_back`` (its state is kept there), ``resumes`` (a state may have been kept
    before), ``checkpoints`` (the place of states), ``folder`` (of this run's, there),
    ``checkpoint_seconds`` between two of them.

    Its state is kept after every epoch: as one of Tune's checkpoints, or by the worker where the
    epoch was short and the worker reaches the place. An error of the training is a result like any
    other, with its reason, and so is a hang. A lost worker is the one cause worth a retry: another
    goes on from the state kept last. So does whoever takes the study up again after its runner was
    lost.

    Raises:
        WorkersLost: whoever hears of it stores no outcome: the study is to be taken up again.
    """

    _warning: str | None
    _state: State | None
    _last_saved: float

    def setup(self, config: dict[str, Any]) -> None:
        """Prepare the first training of this trainable."""
        self._lease: Any = None
        self._worker: Any = None
        self._asked: Any = None
        self._workers_seen: set[Any] = set()  # an actor whose handles are gone is looked up anew
        self._told_that_saving_is_dear = False
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
            self._reports.extend(self._advance())
        result = self._reports.popleft()
        if self._warning is not None:
            result[WARNING], self._warning = self._warning, None
        return result

    def train_buffered(self, *_limits: float) -> list[dict[str, Any]]:
        """Report all epochs that a worker trains in about a second: one call instead of many.

        Tune's own limits are left aside: it passes the longest time and the greatest number of
        results in each other's place. One after which the state is to be kept comes alone: of
        several, Tune would heed the first as well, and go on training while it saves.
        """
        if not self._reports:
            self._reports.extend(self._advance())
        results = [self.train()]
        while self._reports and not self._reports[0].get(SHOULD_CHECKPOINT):
            results.append(self.train())
        return results

    def save(self, checkpoint_dir: str | None = None) -> _TrainingResult:
        """Let Tune keep the state; where that fails, the training goes on all the same."""
        started = monotonic()
        try:
            storage = self._open_storage()
            with TemporaryDirectory() as folder:
                result = super().save(checkpoint_dir or folder)
            self._place().remove_older(self._folder, storage.current_checkpoint_index)
        except Exception as error:
            self._warning = f"its state could not be kept: {type(error).__name__}: {error}"
            result = _TrainingResult(None, {})
            self._saves_from = monotonic() + _SECONDS_AFTER_FAILED_SAVING
        else:
            self._tell_if_dear(monotonic() - started, started - self._last_saved)
        self._last_saved = monotonic()
        return result

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the worker's state."""
        written = self._answer(self._worker.state.remote())
        write_state(checkpoint_dir, State(self._epochs_done, written))

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Read the state that a worker may begin with."""
        self._state = read_state(checkpoint)

    def cleanup(self) -> None:
        """Let the worker go."""
        self._let_go()

    def _prepare(self, config: dict[str, Any]) -> None:
        self._config = config
        self._reports: deque[dict[str, Any]] = deque()
        self._epochs_done = 0
        self._environment = "{}"
        self._started = self._last_saved = math.inf
        self._saves_from = -math.inf
        self._folder: str = config["folder"]
        self._storage: StorageContext | None = None  # Tune's own would not be found again
        self._warning = None
        self._losses = 0
        self._ask_for_worker()

    def _advance(self) -> list[dict[str, Any]]:
        """Let a worker train for a while and return what Tune is to hear of it."""
        while self._losses <= RETRIES_OF_LOST_WORKERS:
            try:
                return self._results(self._train())
            except GetTimeoutError:
                self._let_go(lost=True)
                return [self._failed(self._too_slow())]
            except RayError:
                self._warning = LOST_WORKER
                self._let_go(lost=True)
                self._losses += 1
        return [self._failed(LOST_WORKER)]

    def _train(self) -> Advance:
        if self._worker is None:
            self._begin()
        asked, self._asked = self._asked or self._ask_to_advance(), None
        advance: Advance = self._answer(asked)
        self._environment = advance.environment
        return advance

    def _ask_to_advance(self) -> Any:
        until = min((at for at in self._config["pauses"] if at > self._epochs_done), default=_LAST)
        return self._worker.advance.remote(_BATCH_SECONDS, until)

    def _answer(self, reference: Any) -> Any:
        """Wait for the worker, for no longer than the training may still take."""
        left = self._started + self._config["seconds"] - monotonic()
        return ray.get(reference, timeout=max(left, 0))

    def _ask_for_worker(self) -> None:
        run, myself = self._config, ray.get_runtime_context().current_actor
        self._lease = self._pool.lease.remote(run["run_id"], run["resources"], myself)

    def _begin(self) -> None:
        run = self._config
        if self._lease is None:
            self._ask_for_worker()
        try:
            self._worker = ray.get(self._lease)
        except RayError as error:
            raise WorkersLost(f"no worker for {run['run_id']}: {error}") from error
        self._workers_seen.add(self._worker)
        state, folder = self._kept_state(), self._folder_for_workers()
        self._worker.begin.remote(
            run["run"], run["measure_test"], state, folder, run["checkpoint_seconds"]
        )
        self._started = self._last_saved = monotonic()

    def _results(self, advance: Advance) -> list[dict[str, Any]]:
        results = [self._reported(epoch) for epoch in advance.epochs]
        if results:
            self._epochs_done = _number(advance.epochs[-1])
        outcome = advance.outcome
        if outcome is None:
            due = advance.state_is_due and monotonic() >= self._saves_from
            results[-1][SHOULD_CHECKPOINT] = due or self._waits()
            if not due and self._epochs_done not in self._config["pauses"]:
                self._asked = self._ask_to_advance()  # so it trains on while Tune hears of these
            return results
        self._let_go()
        if "error" in json.loads(outcome):
            return [*results, {METRIC: math.nan, "done": True, OUTCOME: outcome}]
        results[-1] |= {"done": True, OUTCOME: outcome}
        return results

    def _waits(self) -> bool:
        """Tell whether the training may be set aside now, to go on another time."""
        return bool(self._config["may_come_back"]) and self._epochs_done in self._config["pauses"]

    def _kept_state(self) -> bytes | None:
        """Return the newest state, kept for this trainable or for one before it."""
        if not (self._config["resumes"] or self._losses):
            return None
        try:
            states = [state for state in (self._saved_state(), self._state_of_workers()) if state]
        except Exception as error:
            self._warning = f"its state could not be read: {type(error).__name__}: {error}"
            return None
        return max(states).written if states else None

    def _saved_state(self) -> State | None:
        """Return that of the newest of Tune's checkpoints that is whole."""
        storage = self._open_storage()
        for number in self._place().checkpoints(self._folder):
            storage.current_checkpoint_index = number
            path, files = storage.checkpoint_fs_path, storage.storage_filesystem
            self.restore(tune.Checkpoint(path, files))
            if self._state is not None:
                state, self._state = self._state, None
                return state
        return None

    def _state_of_workers(self) -> State | None:
        """Return the newest that a worker has kept by itself."""
        folder = path_of(self._config["checkpoints"], self._folder)
        return read_state(folder) if folder is not None and folder.is_dir() else None

    def _folder_for_workers(self) -> Path | None:
        """Return where workers that reach it are to keep states by themselves."""
        folder = path_of(self._config["checkpoints"], self._folder)
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
        except OSError:  # the worker leaves its states to Tune, and what that says is passed on
            return None
        return folder

    def _tell_if_dear(self, saving: float, training: float) -> None:
        is_dear = saving / (saving + training) > _DEAR_SHARE and not self._waits()
        if is_dear and not self._told_that_saving_is_dear:
            self._told_that_saving_is_dear = True
            self._warning = (
                f"keeping its state takes {saving:.2f} s after {training:.2f} s of training; "
                "HAMTUNE_CHECKPOINT_SECONDS=60 would keep one a minute, and short epochs cost "
                "little where HAMTUNE_CHECKPOINTS is a folder that workers reach too"
            )

    def _open_storage(self) -> StorageContext:
        """Return Tune's storage of this run: the same for whoever takes the run up again."""
        if self._storage is None:
            place, (study, run) = self._place(), self._folder.split("/")
            self._storage = StorageContext(
                place.folder, study, storage_filesystem=place.files, trial_dir_name=run
            )
        return self._storage

    def _place(self) -> CheckpointStore:
        return open_checkpoint_store(self._config["checkpoints"])

    def _let_go(self, lost: bool = False) -> None:
        if self._lease is not None:
            if lost:
                self._workers_seen.discard(self._worker)
            self._lease = self._worker = self._asked = None
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


def _number(epoch: str) -> int:
    return int(json.loads(epoch)["epoch"])
