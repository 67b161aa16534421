"""Runs studies one after the other in a single Ray Tune experiment of the runner.

Tune ends everything that it has started when an experiment ends, and starting it again takes
seconds. A runner's experiment therefore never ends: between two studies its searcher waits.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

from ray import tune
from ray.tune.search import Searcher
from structlog.contextvars import bind_contextvars, get_contextvars

from ham.source_hash import source_hash
from service.settings import Settings
from service.workers.cluster import connection
from service.workers.cluster.checkpoints import folder_of, path_of, remove_or_warn
from service.workers.cluster.ray_compat import SHOULD_CHECKPOINT, keep_idle_trainables
from service.workers.cluster.trainable import METRIC, TrainRun
from service.workers.cluster.tune_adapter import StudySearcher, StudyTrialScheduler
from service.workers.cluster.worker_pool import open_pool
from service.workers.study.execution import StudyExecution


class Engine:
    """Runs study executions, one at a time, on the cluster that this process is connected to.

    Args:
        settings: resources of a training, and where Ray keeps its files.
        trainable: trains a run; tests replace it.
    """

    def __init__(self, settings: Settings, trainable: type[TrainRun] = TrainRun) -> None:
        self._settings = settings
        self._trainable = trainable
        self._relay = Relay(settings)
        self._thread = threading.Thread(target=self._serve, name="ray-tune", daemon=True)
        self._broken: Exception | None = None

    def run(self, execution: StudyExecution, model: str) -> None:
        """Run a study execution to its end.

        Args:
            execution: the study's execution.
            model: name of the model, which decides the resources of a training.

        Raises:
            Exception: the error of the execution or of Tune; the engine cannot be used again.
        """
        searcher = StudySearcher(execution)
        resources = connection.resources_per_trial(self._settings, model)
        execution.gpus = resources.get("GPU", 0.0)
        self._relay.start_study(searcher, resources)
        if self._thread.ident is None:
            self._thread.start()
        self._relay.idle.wait()
        if error := searcher.error or self._broken:
            raise error

    def _serve(self) -> None:
        try:
            self._tuner().fit()
        except Exception as error:
            self._broken = error
        finally:
            self._relay.idle.set()

    def _tuner(self) -> tune.Tuner:
        return tune.Tuner(
            tune.with_resources(self._trainable, connection.resources_of_a_trial()),
            tune_config=tune.TuneConfig(
                search_alg=self._relay,
                scheduler=WarmTrialScheduler(self._relay),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=_folder,
            ),
            run_config=tune.RunConfig(
                name=f"runner-{os.getpid()}",
                storage_path=str(self._settings.data_dir.resolve() / "ray"),
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )


@dataclass
class RunningTraining:
    """A training that Tune runs.

    Attributes:
        run_id: the run that it trains.
        folder: folder of its checkpoints in the checkpoint store.
        may_have_checkpoint: the folder may hold a checkpoint; workers that write into a folder
            do not report it.
    """

    run_id: str
    folder: str
    may_have_checkpoint: bool


class EndedTraining(NamedTuple):
    """What Tune reported about a training that has ended."""

    trial_id: str
    result: dict[str, Any] | None
    error: bool


class Relay(Searcher):
    """Passes Tune's questions to the searcher of the current study; between studies it waits.

    A free worker gets its next training before finished results are written to the database, if
    a training is ready.

    Attributes:
        idle: set while there is no current study.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(metric=METRIC, mode="max")
        self._settings = settings
        self._inbox: queue.Queue[tuple[StudySearcher, dict[str, float]]] = queue.Queue()
        self._searcher: StudySearcher | None = None
        self._running: dict[str, RunningTraining] = {}
        self._ended: deque[EndedTraining] = deque()
        self._has_handed_out = False
        self.idle = threading.Event()
        self._pool = open_pool()

    @property
    def running_count(self) -> int:
        """Number of trainings that have begun and not ended."""
        return len(self._running) - len(self._ended)

    def start_study(self, searcher: StudySearcher, resources: dict[str, float]) -> None:
        """Make another study the current one."""
        self.idle.clear()
        self._log_facts = get_contextvars()
        self._inbox.put((searcher, resources))

    def suggest(self, trial_id: str) -> Any:
        """Return the config of the next training, None to wait, or FINISHED after an error."""
        if self._searcher is None:
            self._searcher, self._resources = self._inbox.get()
            self._slots = connection.Slots(self._resources)
            bind_contextvars(**self._log_facts)  # this is another thread
        workers = self._slots.count()
        full = self.running_count >= workers
        has_handed_out, self._has_handed_out = self._has_handed_out, False
        if full and has_handed_out:
            return None  # Tune asks again at once, before it starts the trial that it has
        if full or not self._searcher.ready:
            self._store_ended()
        suggestion = self._searcher.suggest(trial_id, workers + len(self._ended))
        if suggestion == Searcher.FINISHED:
            return self._end_study(trial_id)
        if suggestion is not None:
            suggestion |= self._begin(trial_id, suggestion)
        return suggestion

    def _end_study(self, trial_id: str) -> Any:
        """End the current study and wait for the next one, unless there was an error."""
        assert self._searcher is not None
        if self._searcher.over:
            remove_or_warn(self._settings.checkpoint_location, self._searcher.study_id)
        self.idle.set()
        if self._searcher.error is not None:
            return Searcher.FINISHED
        self._searcher = None
        return self.suggest(trial_id)

    def _begin(self, trial_id: str, suggestion: dict[str, Any]) -> dict[str, Any]:
        """Note that a training begins; return what its config needs of the settings."""
        assert self._searcher is not None
        run_id, run = suggestion["run_id"], suggestion["run"]
        location = self._settings.checkpoint_location
        folder = folder_of(self._searcher.study_id, run_id, run, source_hash())
        workers_may_write = path_of(location, folder) is not None
        may_have_checkpoint = workers_may_write or suggestion["resumes"]
        self._running[trial_id] = RunningTraining(run_id, folder, may_have_checkpoint)
        self._has_handed_out = True
        return {
            "resources": self._resources,
            "seconds": self._settings.run_seconds,
            "checkpoints": location,
            "checkpoint_seconds": self._settings.checkpoint_seconds,
            "folder": folder,
        }

    def worth_going_on(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Pass on one epoch; False if early stopping ends the training after it."""
        assert self._searcher is not None
        if result.get(SHOULD_CHECKPOINT):
            self._running[trial_id].may_have_checkpoint = True
        return self._searcher.worth_going_on(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Note the end of a training and free its worker, also if Tune stopped the training."""
        self._pool.give_back.remote(self._running[trial_id].run_id)
        self._ended.append(EndedTraining(trial_id, result, error))

    def _store_ended(self) -> None:
        assert self._searcher is not None
        while self._ended:
            ended = self._ended.popleft()
            training = self._running.pop(ended.trial_id)
            self._searcher.on_trial_complete(*ended)
            is_over = not self._searcher.awaits_promotion(training.run_id)
            if training.may_have_checkpoint and is_over and self._searcher.error is None:
                remove_or_warn(self._settings.checkpoint_location, training.folder)

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing to pickle: Tune copies its searcher for a restore that never happens."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: a study is rebuilt from the database."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: a study is rebuilt from the database."""


class WarmTrialScheduler(StudyTrialScheduler):
    """Keeps idle trainables of Tune alive for the next trainings; Tune would end all but one."""

    def __init__(self, relay: Relay) -> None:
        super().__init__(relay)
        self._relay = relay
        self._kept = 0

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Keep as many idle trainables as trainings have run at the same time."""
        super().on_trial_add(tune_controller, trial)
        running = self._relay.running_count
        if running > self._kept:
            keep_idle_trainables(tune_controller, trial, running - self._kept)
            self._kept = running


def _folder(trial: Any) -> str:
    return f"{trial.config['run_id']}-{trial.trial_id}"
