"""The engine on a real Ray: trainings that crash, hang or are long.

The trainings train nothing. They move the clock of their worker instead of sleeping.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import ray

from ham.client.records import Budget, EpochMetrics, Plan, Purpose, Run, RunState, StudyRequest
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, HamConfig, RunConfig
from service.domain.planning.plans import resolve
from service.records import StudyLease
from service.settings import Settings
from service.storage import Storage
from service.workers.cluster import connection
from service.workers.cluster.engine import Engine
from service.workers.cluster.trainable import LOST_WORKER, TrainRun
from service.workers.cluster.trainer import Trainer
from service.workers.cluster.worker_pool import open_pool
from service.workers.study.assignments import TrainingAssignment
from service.workers.study.execution import StudyExecution
from service.workers.study.optuna_search import OptunaSearch
from service.workers.study.optuna_storage import open_optuna_storage
from tests.service.workers.conftest import SMALL, known_accuracy, metrics, outcome_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

SECONDS_OF_A_LONG_EPOCH = 1.1
LOST_IN = (4, 9)  # a long epoch, and a short one


class Result:
    """An outcome in the shape of a training's result."""

    def __init__(self, run: RunConfig, measure_test: bool, curve: list[dict[str, Any]]) -> None:
        self._json = outcome_of(run, measure_test).model_dump(mode="json", exclude={"error"})
        self._json["environment"] = {"pid": os.getpid()}
        self._json["validation_accuracy"] = curve[-1]["validation_accuracy"]
        self._json["curve"] = curve

    def to_json(self) -> dict[str, Any]:
        return {**self._json, "sparsity": self._json["measures"].pop("sparsity")}


Trouble = Callable[[RunConfig, int], float]
Accuracy = Callable[[RunConfig], float]


class Clock:
    """A worker's clock, which only its trainings move."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Fake:
    """Trains nothing; each epoch takes the seconds that ``trouble`` returns, if it returns."""

    def __init__(self, run: RunConfig, clock: Clock, trouble: Trouble, accuracy: Accuracy) -> None:
        self._run, self._clock, self._trouble = run, clock, trouble
        self._accuracy = accuracy(run)
        self.epochs_done = 0
        self.environment = {"pid": os.getpid()}

    @property
    def finished(self) -> bool:
        return self.epochs_done >= self._run.recipe.epochs

    def run_epoch(self) -> EpochMetrics:
        self._clock.now += self._trouble(self._run, self.epochs_done + 1)
        self.epochs_done += 1
        return metrics(self.epochs_done, self._accuracy)

    def finish(self, *, measure_test: bool) -> Result:
        return Result(self._run, measure_test, self.state_dict()["curve"])

    def state_dict(self) -> dict[str, Any]:
        epochs = range(1, self.epochs_done + 1)
        return {"curve": [vars(metrics(epoch, self._accuracy)) for epoch in epochs]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epochs_done = len(state["curve"])


def trainer(trouble: Trouble, accuracy: Accuracy = known_accuracy) -> type[Trainer]:
    class FakeTrainer(Trainer):
        def __init__(self, gpus: float = 0) -> None:
            clock = Clock()
            super().__init__(lambda run: Fake(run, clock, trouble, accuracy), gpus, clock)

        def checkpoint(self) -> bytes:
            """No torch: its import would count as training."""
            assert self._training is not None
            return json.dumps(self._training.state_dict()).encode()

        def _unpack(self, checkpoint: bytes) -> dict[str, Any]:
            read: dict[str, Any] = json.loads(checkpoint)
            return read

    return FakeTrainer


@pytest.fixture
def engine(settings: Settings, tmp_path: Path) -> Iterator[Engine]:
    settings = settings.model_copy(update={"cpus": 2})
    connection.start_local(settings)
    plan = resolve(request())
    search, screening = plan.search_seeds[0], plan.screening_seeds[0]
    trained = tmp_path / "trained"
    trained.mkdir()

    def is_the_one_that_hangs(run: RunConfig) -> bool:
        return (run.setting, run.seed) == (PAPER_DEFAULT, search)

    def trouble(run: RunConfig, epoch: int) -> float:
        """Crash twice in one training, hang in another, always crash in a third."""
        if run.combination.sparsity != request().sparsity:
            return 0.0
        if (run.setting, run.seed) == (RECIPE_BASELINE, search):
            with (trained / "epochs").open("a") as file:
                file.write(f"{epoch}\n")
            crashed = trained / f"crashed in {epoch}"
            if epoch in LOST_IN and not crashed.exists():
                crashed.touch()
                os._exit(1)
            return SECONDS_OF_A_LONG_EPOCH if epoch <= LOST_IN[0] else 0.0
        elif is_the_one_that_hangs(run):
            (trained / "hangs").touch()
            threading.Event().wait()
        elif (run.setting, run.seed) == (PAPER_DEFAULT, screening):
            os._exit(1)
        return 0.0

    class TrainRunOnOurClock(TrainRun):
        """Its clock stands still, and jumps past the time limit once the training hangs."""

        def clock(self) -> float:
            run = RunConfig.from_json(self._config["run"])
            hangs = run.combination.sparsity == request().sparsity and is_the_one_that_hangs(run)
            return 1e9 if hangs and (trained / "hangs").exists() else 0.0

    open_pool(trainer(trouble))
    yield Engine(settings, TrainRunOnOurClock)
    ray.shutdown()


def request(sparsity: float = 0.9) -> StudyRequest:
    return StudyRequest(
        model="digits_mlp", dataset="digits", sparsifier="random", sparsity=sparsity, budget=SMALL
    )


def run_study(
    engine: Engine, storage: Storage, settings: Settings, plan: Plan, asked: StudyRequest
) -> tuple[list[Run], list[str]]:
    """Return the runs of a whole study, and the ids of those that began or resumed, in order."""
    study, _ = storage.studies.submit(asked, plan)
    claimed = storage.queue.claim("a test", timedelta(minutes=5))
    assert claimed is not None
    lease: StudyLease = claimed[1]
    search = OptunaSearch(open_optuna_storage(settings.optuna_database), study.id, plan)
    execution = Watched(storage, lease, plan, search)
    engine.run(execution, "digits_mlp")
    return storage.runs.of_study(study.id), execution.assigned


class Watched(StudyExecution):
    """An execution that remembers the runs that it handed out."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.assigned: list[str] = []

    def next(self, workers: float = math.inf) -> TrainingAssignment | None:
        if assignment := super().next(workers):
            self.assigned.append(assignment.run_id)
        return assignment


def find(runs: list[Run], purpose: Purpose, ham_config: HamConfig) -> Run:
    return next(run for run in runs if (run.purpose, run.setting) == (purpose, ham_config))


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_crash_is_retried_a_hang_is_recorded_and_neither_stops_the_study(
    engine: Engine, settings: Settings, storage: Storage, tmp_path: Path
) -> None:
    runs, _ = run_study(engine, storage, settings, resolve(request()), request())

    resumed = find(runs, Purpose.SEARCH, RECIPE_BASELINE)
    assert resumed.state == RunState.SUCCEEDED, resumed.error
    epochs = [int(line) for line in (tmp_path / "trained" / "epochs").read_text().split()]
    assert epochs == sorted([*range(1, resumed.epochs + 1), *LOST_IN]), (
        "only the epochs that crashed are trained twice"
    )

    hung = find(runs, Purpose.SEARCH, PAPER_DEFAULT)
    assert hung.state == RunState.FAILED
    assert "HAMTUNE_RUN_SECONDS" in (hung.error or "")

    crashed = find(runs, Purpose.SCREENING, PAPER_DEFAULT)
    assert crashed.error == LOST_WORKER
    others = [run for run in runs if run not in (hung, crashed)]
    assert {run.state for run in others} == {RunState.SUCCEEDED}

    again, _ = run_study(engine, storage, settings, resolve(request(0.8)), request(0.8))
    pids = {run.environment["pid"] for run in again if run.state == RunState.SUCCEEDED}
    assert pids & {run.environment["pid"] for run in others}, "the workers were used again"


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_promoted_trials_continue_after_the_epoch_at_which_they_stopped(
    settings: Settings, storage: Storage, tmp_path: Path
) -> None:
    """Each trial is worse than all before it, so these enter the best third as others come."""
    trained, begun = tmp_path / "trained", tmp_path / "begun"

    def note(run: RunConfig, epoch: int) -> float:
        with trained.open("a") as file:
            file.write(f"{run.setting} {run.seed} {epoch}\n")
        return 0.0

    def worse_and_worse(run: RunConfig) -> float:
        with begun.open("a+") as file:
            file.seek(0)
            if f"{run.setting}\n" not in (seen := file.readlines()):
                file.write(f"{run.setting}\n")
                seen.append(f"{run.setting}\n")
        return 0.9 - 0.01 * seen.index(f"{run.setting}\n")

    budget = Budget(
        trials=40,
        early_stopping="asha_promotion",
        finalists=1,
        screening_seeds=1,
        confirmation_seeds=0,
    )
    asked = request().model_copy(update={"sampler": "random", "budget": budget})
    connection.start_local(settings.model_copy(update={"cpus": 2}))
    try:
        open_pool(trainer(note, worse_and_worse))
        runs, assigned = run_study(Engine(settings), storage, settings, resolve(asked), asked)
    finally:
        ray.shutdown()
    promoted = {run_id for run_id in assigned if assigned.count(run_id) > 1}
    assert promoted
    own = [run for run in runs if run.reused_from is None]
    lines = trained.read_text().splitlines()
    assert len(lines) == sum(run.epochs_done for run in own), "no epoch was trained twice"
    for run in runs:
        curve = [point.epoch for point in storage.runs.curve(run.id)]
        assert curve == list(range(1, run.epochs_done + 1))
        finished = run.epochs_done == run.epochs
        assert run.state == (RunState.SUCCEEDED if finished else RunState.PRUNED)
    assert any(run.state == RunState.PRUNED for run in runs)
