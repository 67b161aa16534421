"""The trainable on a real Ray: a training survives its trainable and its worker.

Time stands still for the workers, so that no test depends on how fast they train.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import RayTaskError

from ham.client.records import StudyRequest
from ham.config import RunConfig
from service.domain.planning.plans import resolve
from service.settings import Settings
from service.workers.cluster import connection
from service.workers.cluster.checkpoint_files import read_checkpoint
from service.workers.cluster.checkpoints import open_checkpoint_store
from service.workers.cluster.ray_compat import SHOULD_CHECKPOINT, call_when_ready
from service.workers.cluster.trainable import EPOCH, LOST_WORKER, OUTCOME, WARNING, TrainRun
from service.workers.cluster.trainer import Trainer
from service.workers.cluster.worker_pool import open_pool
from tests.faults.harness import descendants, first, kill

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

EPOCHS = 8


class TimelessTrainer(Trainer):
    """A worker for which every epoch is short and no call takes long."""

    def __init__(self, gpus: float = 0) -> None:
        super().__init__(gpus=gpus, clock=lambda: 0.0)


@pytest.fixture(scope="module", autouse=True)
def one_cpu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    connection.start_local(Settings(data_dir=tmp_path_factory.mktemp("ray"), cpus=1))
    open_pool(TimelessTrainer)
    yield
    ray.shutdown()


def config_of_a_run(location: Path | str, request_: StudyRequest) -> dict[str, Any]:
    plan = resolve(request_)
    recipe = replace(plan.recipe, epochs=EPOCHS)
    run = RunConfig(
        combination=plan.combination, recipe=recipe, setting=plan.baselines[1], seed=3
    ).to_json()
    return {
        "run_id": "run",
        "run": run,
        "measure_test": True,
        "resources": {"CPU": 1.0},
        "seconds": 1e6,
        "decision_epochs": list(range(1, 100)),
        "may_be_promoted": True,
        "resumes": False,
        "checkpoints": str(location),
        "folder": "study/run",
        "checkpoint_seconds": 1e9,  # so that there are only the checkpoints at decision epochs
    }


class Tune:
    """Does with a trainable what Tune does: it asks for results, and saves when told to."""

    def __init__(self, config: dict[str, Any], trainable: type[TrainRun] = TrainRun) -> None:
        # Ray declares no type for an actor's methods.
        self.actor: Any = ray.remote(trainable).options(num_cpus=0).remote(config)
        self.results: list[dict[str, Any]] = []

    def advance(self) -> dict[str, Any]:
        """Return the last result up to the next checkpoint, or up to the end."""
        while True:
            batch: list[dict[str, Any]] = ray.get(self.actor.train_buffered.remote(0.0, 1))
            self.results += batch
            if batch[-1].get(SHOULD_CHECKPOINT):
                assert len(batch) == 1, "Tune would save after the first result of a batch"
                ray.get(self.actor.save.remote())
                return batch[-1]
            if batch[-1]["done"]:
                return batch[-1]

    def finish(self) -> list[dict[str, Any]]:
        """Return all results."""
        while not self.advance()["done"]:
            pass
        return self.results

    @property
    def epochs(self) -> list[int]:
        return [json.loads(result[EPOCH])["epoch"] for result in self.results]

    @property
    def warnings(self) -> list[str]:
        return [result[WARNING] for result in self.results if WARNING in result]


def facts(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the part of an outcome that does not depend on time and place."""
    outcome = json.loads(results[-1][OUTCOME])
    curve = [point | {"seconds": None} for point in outcome["curve"]]
    return {
        "accuracies": (outcome["validation_accuracy"], outcome["test_accuracy"]),
        "curve": curve,
        "sparsity": outcome["measures"]["sparsity"],
    }


def test_a_training_whose_runner_is_lost_resumes_after_its_last_epoch_and_ends_bit_equal(
    tmp_path: Path, request_: StudyRequest
) -> None:
    whole = Tune(config_of_a_run(tmp_path / "undisturbed", request_))
    whole.finish()
    assert all(not result["done"] for result in whole.results[:-1])
    assert not whole.warnings

    config = config_of_a_run((tmp_path / "disturbed").as_uri(), request_)
    lost = Tune(config)
    for _ in range(4):
        lost.advance()
    ray.kill(lost.actor)
    store = open_checkpoint_store(config["checkpoints"])
    assert store.checkpoint_numbers("study/run") == [3], "only the newest is kept"

    truncated = tmp_path / "disturbed/study/run/checkpoint_000004/5-9999.state"
    truncated.parent.mkdir()
    truncated.write_bytes(b"bytes")
    rest = Tune(config | {"resumes": True})
    rest.advance()
    assert rest.epochs == [1, 2, 3, 4, 5], "the trained epochs are reported again, and one more"
    assert store.checkpoint_numbers("study/run") == [4]
    rest.finish()
    assert rest.epochs == whole.epochs
    assert facts(rest.results) == facts(whole.results)


def test_a_training_resumes_at_the_newest_checkpoint_of_tune_and_workers(
    tmp_path: Path, request_: StudyRequest
) -> None:
    config = config_of_a_run(tmp_path, request_)

    def written_by_a_worker(epoch: int) -> list[str]:
        worker = TimelessTrainer()
        folder = tmp_path / "study/run"
        worker.begin(config["run"], True, folder=folder, seconds_between_checkpoints=0)
        return worker.advance(60.0, until=epoch).epochs

    def reported_until_lost(resumes: bool, checkpoints: int) -> list[str]:
        training = Tune(config | {"resumes": resumes})
        for _ in range(checkpoints):
            training.advance()
        ray.kill(training.actor)
        return [result[EPOCH] for result in training.results]

    of_two_epochs = reported_until_lost(False, checkpoints=2)
    written_by_a_worker(1)
    of_three_epochs = reported_until_lost(True, checkpoints=1)
    assert of_three_epochs[:-1] == of_two_epochs, "also the seconds of each epoch"
    of_five_epochs = written_by_a_worker(5)
    of_six_epochs = reported_until_lost(True, checkpoints=1)
    assert of_six_epochs[:-1] == of_five_epochs


class OnAnotherMachine(TrainRun):
    """Has workers that do not reach the checkpoint store; each look at its clock takes 1 s."""

    _seconds = itertools.count(0.0)

    def clock(self) -> float:
        return next(self._seconds)

    def _folder_for_workers(self) -> None:
        return None


def test_tune_saves_every_epoch_if_workers_do_not_reach_the_store(
    tmp_path: Path, request_: StudyRequest
) -> None:
    every_epoch = {"decision_epochs": [], "may_be_promoted": False, "checkpoint_seconds": 0.0}
    config = config_of_a_run(tmp_path, request_) | every_epoch
    lost = Tune(config, OnAnotherMachine)
    for _ in range(4):
        lost.advance()
    assert lost.epochs == [1, 2, 3, 4]
    ray.kill(lost.actor)
    rest = Tune(config | {"resumes": True}, OnAnotherMachine)
    rest.finish()
    known = [result[EPOCH] for result in lost.results]
    assert [result[EPOCH] for result in rest.results[:4]] == known
    for training in (lost, rest):
        (warning,) = training.warnings  # saving is slow compared with training, on that clock
        assert "HAMTUNE_CHECKPOINT_SECONDS" in warning


def test_tune_saves_no_short_epoch_if_workers_reach_the_store(
    tmp_path: Path, request_: StudyRequest
) -> None:
    every_epoch = {"decision_epochs": [5], "may_be_promoted": False, "checkpoint_seconds": 0.0}
    config = config_of_a_run(tmp_path, request_) | every_epoch
    training = Tune(config)
    ray.get(training.actor.train_buffered.remote(0.0, 1))
    assert open_checkpoint_store(config["checkpoints"]).checkpoint_numbers("study/run") == []
    kept = read_checkpoint(tmp_path / "study/run")
    assert kept is not None and kept.epoch == 5
    rest = Tune(config | {"resumes": True})
    rest.finish()
    assert len(set(rest.epochs)) == len(rest.epochs), "no epoch is reported twice"


def test_a_training_whose_worker_is_lost_resumes_in_another_worker(
    tmp_path: Path, request_: StudyRequest
) -> None:
    training = Tune(config_of_a_run(tmp_path, request_))
    for _ in range(4):
        training.advance()
    worker = first(descendants(os.getpid()), "ray::TimelessTrainer")
    assert worker is not None and kill(worker)
    training.advance()
    assert training.epochs == [1, 2, 3, 4, *range(1, 6)]
    assert training.results[4][WARNING] == LOST_WORKER


def test_a_training_whose_checkpoint_cannot_be_saved_goes_on_with_a_warning(
    tmp_path: Path, request_: StudyRequest
) -> None:
    (tmp_path / "a file").touch()
    training = Tune(config_of_a_run(tmp_path / "a file", request_))
    results = training.finish()
    assert len(training.warnings) == len(results) - 1, "after every epoch but the last"
    assert "could not be saved" in training.warnings[0]
    assert results[-1][OUTCOME]


def test_a_training_that_finds_no_pool_is_lost_and_not_failed(
    tmp_path: Path, request_: StudyRequest
) -> None:
    training = Tune(config_of_a_run(tmp_path, request_))
    ray.get(call_when_ready(training.actor))
    ray.kill(open_pool(TimelessTrainer))
    with pytest.raises(RayTaskError, match="WorkersLost"):
        training.finish()
