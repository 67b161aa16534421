"""One Ray Tune experiment that serves study after study, so that nothing is started anew.

Tune ends what it has started when an experiment ends, and starting it takes seconds. So the
experiment of a runner goes on: between two studies its searcher waits for the next one.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

from ray import tune
from ray.tune.result import SHOULD_CHECKPOINT
from ray.tune.search import Searcher
from structlog.contextvars import bind_contextvars, get_contextvars

from service.settings import Settings
from service.workers.cluster import connection
from service.workers.cluster.checkpoints import folder_of, forget, path_of
from service.workers.cluster.trainable import METRIC, TrainRun
from service.workers.cluster.tune_adapter import StudySearcher, StudyTrialScheduler
from service.workers.cluster.worker_pool import code_digest, open_pool
from service.workers.study.execution import StudyExecution


class Engine:
    """Runs courses, one after the other, on the cluster that this process is connected to.

    Args:
        settings: resources of a training, and where Ray keeps its files.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._relay = Relay(settings)
        self._thread = threading.Thread(target=self._serve, name="ray-tune", daemon=True)
        self._broken: Exception | None = None

    def run(self, course: StudyExecution, model: str) -> None:
        """Take a course to its end.

        Raises:
            Exception: what the course raised; the engine is then of no further use.
        """
        searcher = StudySearcher(course)
        resources = connection.resources_per_trial(self._settings, model)
        course.gpus = resources.get("GPU", 0.0)
        self._relay.take_up(searcher, resources)
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
            tune.with_resources(TrainRun, connection.resources_of_a_trial()),
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
class UnderWay:
    """A training that Tune runs.

    Attributes:
        run_id: what it trains.
        folder: where its states are kept.
        may_have_state: one may be kept there; workers keep theirs on a disk and say nothing.
    """

    run_id: str
    folder: str
    may_have_state: bool


class Ended(NamedTuple):
    """What Tune said of a training that has ended."""

    trial_id: str
    result: dict[str, Any] | None
    error: bool


class Relay(Searcher):
    """Passes Tune's questions to the searcher of the study under way; between studies it waits.

    A worker that is free comes first: if a training is ready for it, what ended before is stored
    when the worker has begun.

    Attributes:
        idle: set while no study is under way.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(metric=METRIC, mode="max")
        self._settings = settings
        self._inbox: queue.Queue[tuple[StudySearcher, dict[str, float]]] = queue.Queue()
        self._searcher: StudySearcher | None = None
        self._under_way: dict[str, UnderWay] = {}
        self._ended: deque[Ended] = deque()
        self._has_handed_out = False
        self.idle = threading.Event()
        self._pool = open_pool()

    @property
    def at_work(self) -> int:
        """Trainings that are under way."""
        return len(self._under_way) - len(self._ended)

    def take_up(self, searcher: StudySearcher, resources: dict[str, float]) -> None:
        """Serve another study."""
        self.idle.clear()
        self._log_facts = get_contextvars()
        self._inbox.put((searcher, resources))

    def suggest(self, trial_id: str) -> Any:
        """Return the next training of the study under way, or None to wait."""
        if self._searcher is None:
            self._searcher, self._resources = self._inbox.get()
            self._slots = connection.Slots(self._resources)
            bind_contextvars(**self._log_facts)  # this is another thread
        workers = self._slots.count()
        full = self.at_work >= workers
        has_handed_out, self._has_handed_out = self._has_handed_out, False
        if full and has_handed_out:
            return None  # Tune asks again at once, before it starts what it has got
        if full or not self._searcher.ready:
            self._store_ended()
        suggestion = self._searcher.suggest(trial_id, workers + len(self._ended))
        if suggestion == Searcher.FINISHED:
            if self._searcher.over:
                forget(self._settings.checkpoint_location, self._searcher.study_id)
            self.idle.set()
            if self._searcher.error is not None:
                return Searcher.FINISHED
            self._searcher = None
            return self.suggest(trial_id)
        if suggestion is not None:
            run_id, run = suggestion["run_id"], suggestion["run"]
            folder = folder_of(self._searcher.study_id, run_id, run, code_digest())
            on_disk = path_of(self._settings.checkpoint_location, folder) is not None
            may_have_state = on_disk or suggestion["resumes"]
            self._under_way[trial_id] = UnderWay(run_id, folder, may_have_state)
            self._has_handed_out = True
            suggestion |= {
                "resources": self._resources,
                "seconds": self._settings.run_seconds,
                "checkpoints": self._settings.checkpoint_location,
                "checkpoint_seconds": self._settings.checkpoint_seconds,
                "folder": folder,
            }
        return suggestion

    def worth_going_on(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Pass on an epoch."""
        assert self._searcher is not None
        if result.get(SHOULD_CHECKPOINT):
            self._under_way[trial_id].may_have_state = True
        return self._searcher.worth_going_on(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Note the end of a training; its worker is free, also where Tune stopped it."""
        self._pool.give_back.remote(self._under_way[trial_id].run_id)
        self._ended.append(Ended(trial_id, result, error))

    def _store_ended(self) -> None:
        assert self._searcher is not None
        while self._ended:
            ended = self._ended.popleft()
            training = self._under_way.pop(ended.trial_id)
            self._searcher.on_trial_complete(*ended)
            comes_back = self._searcher.is_set_aside(training.run_id)
            if training.may_have_state and not comes_back and self._searcher.error is None:
                forget(self._settings.checkpoint_location, training.folder)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing to pickle: Tune copies its searcher for a restore that is never asked for."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the database knows all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the database knows all."""


class WarmTrialScheduler(StudyTrialScheduler):
    """Keeps Tune's trainables: of those that have nothing to do, Tune would end all but one."""

    def __init__(self, relay: Relay) -> None:
        super().__init__(relay)
        self._relay = relay
        self._kept = 0

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Let as many trainables idle as have ever been at work at once."""
        super().on_trial_add(tune_controller, trial)
        at_work = self._relay.at_work
        if at_work > self._kept:
            cache = _inner(tune_controller)._actor_cache
            cache.increase_max(trial.placement_group_factory, at_work - self._kept)
            self._kept = at_work


def _inner(controller: Any) -> Any:
    """Return the controller that Tune hides behind a wrapper from searchers and schedulers."""
    return getattr(controller, "_tune_controller", controller)


def _folder(trial: Any) -> str:
    return f"{trial.config['run_id']}-{trial.trial_id}"
