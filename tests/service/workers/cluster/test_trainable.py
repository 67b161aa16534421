"""A trainable on a real Ray: its training outlives it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
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
from service.workers.cluster.ray_compat import call_when_ready
from service.workers.cluster.trainable import LOST_WORKER, OUTCOME, WARNING, TrainRun
from service.workers.cluster.trainer import Trainer
from service.workers.cluster.worker_pool import open_pool
from tests.faults.harness import descendants, first, kill

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]


@pytest.fixture(scope="module", autouse=True)
def one_cpu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    connection.start_local(Settings(data_dir=tmp_path_factory.mktemp("ray"), cpus=1))
    open_pool(Trainer)
    yield
    ray.shutdown()


def config_of_a_run(place: Path | str, request_: StudyRequest) -> dict[str, Any]:
    plan = resolve(request_)
    run = RunConfig(
        combination=plan.combination, recipe=plan.recipe, setting=plan.baselines[1], seed=3
    ).to_json()
    return {
        "run_id": "run",
        "run": run,
        "measure_test": True,
        "resources": {"CPU": 1.0},
        "seconds": 120.0,
        "decision_epochs": list(range(1, 100)),
        "may_be_promoted": True,
        "resumes": False,
        "checkpoints": str(place),
        "folder": "study/run",
        "checkpoint_seconds": 1e9,  # so its state is kept for the pauses alone
    }


class Tune:
    """Does with a trainable what Tune does: it asks for results, and for states when told so."""

    def __init__(self, config: dict[str, Any], trainable: type[TrainRun] = TrainRun) -> None:
        self.actor = ray.remote(trainable).options(num_cpus=0).remote(config)
        self.results: list[dict[str, Any]] = []

    def advance(self) -> dict[str, Any]:
        """Return the last result up to where the state is kept, or up to the end."""
        while True:
            batch = ray.get(self.actor.train_buffered.remote(0.0, 1))
            self.results += batch
            if batch[-1].get("should_checkpoint"):
                assert len(batch) == 1, "Tune would heed those before it too"
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
        return [json.loads(result["epoch_metrics"])["epoch"] for result in self.results]


def facts(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what does not depend on when and where it was trained."""
    outcome = json.loads(results[-1][OUTCOME])
    curve = [point | {"seconds": None} for point in outcome["curve"]]
    return {
        "accuracies": (outcome["validation_accuracy"], outcome["test_accuracy"]),
        "curve": curve,
        "sparsity": outcome["measures"]["sparsity"],
    }


def test_a_training_whose_runner_is_lost_goes_on_from_its_last_epoch_and_ends_bit_equal(
    tmp_path: Path, request_: StudyRequest
) -> None:
    whole = Tune(config_of_a_run(tmp_path / "undisturbed", request_))
    whole.finish()
    assert all(not result["done"] for result in whole.results[:-1])

    config = config_of_a_run((tmp_path / "disturbed").as_uri(), request_)
    lost = Tune(config)
    for _ in range(4):
        lost.advance()
    ray.kill(lost.actor)
    store = open_checkpoint_store(config["checkpoints"])
    assert store.checkpoint_numbers("study/run") == [3], "the newest alone is kept"

    cut_off = tmp_path / "disturbed/study/run/checkpoint_000004/5-9999.state"
    cut_off.parent.mkdir()
    cut_off.write_bytes(b"state")
    rest = Tune(config | {"resumes": True})
    rest.advance()
    assert rest.epochs == [1, 2, 3, 4, 5], "what it had trained is reported again, and no more"
    assert store.checkpoint_numbers("study/run") == [4]
    rest.finish()
    assert rest.epochs == whole.epochs
    assert facts(rest.results) == facts(whole.results)


def test_the_newest_of_the_states_that_tune_and_workers_have_kept_is_taken(
    tmp_path: Path, request_: StudyRequest
) -> None:
    config = config_of_a_run(tmp_path, request_)

    def kept_by_a_worker(epoch: int) -> list[str]:
        worker = Trainer()
        folder = tmp_path / "study/run"
        worker.begin(config["run"], True, folder=folder, seconds_between_checkpoints=0)
        return worker.advance(60.0, until=epoch).epochs

    def reported_until_lost(resumes: bool, states: int) -> list[str]:
        training = Tune(config | {"resumes": resumes})
        for _ in range(states):
            training.advance()
        ray.kill(training.actor)
        return [result["epoch_metrics"] for result in training.results]

    of_two_epochs = reported_until_lost(False, states=2)
    kept_by_a_worker(1)
    of_three_epochs = reported_until_lost(True, states=1)
    assert of_three_epochs[:-1] == of_two_epochs, "also the seconds that they took"
    of_five_epochs = kept_by_a_worker(5)
    of_six_epochs = reported_until_lost(True, states=1)
    assert of_six_epochs[:-1] == of_five_epochs


class OnAnotherMachine(TrainRun):
    """Has workers that do not reach the folder."""

    def _folder_for_workers(self) -> None:
        return None


def test_where_workers_do_not_reach_the_place_tune_keeps_every_state(
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
    known = [result["epoch_metrics"] for result in lost.results]
    assert [result["epoch_metrics"] for result in rest.results[:4]] == known
    warnings = [each[WARNING] for each in (*lost.results, *rest.results) if WARNING in each]
    assert 1 <= len(warnings) <= 2, "once by each, since it is dear after so short epochs"
    assert all("HAMTUNE_CHECKPOINT_SECONDS" in warning for warning in warnings)


def test_where_workers_reach_the_place_short_epochs_cost_tune_nothing(
    tmp_path: Path, request_: StudyRequest
) -> None:
    every_epoch = {"decision_epochs": [5], "may_be_promoted": False, "checkpoint_seconds": 0.0}
    config = config_of_a_run(tmp_path, request_) | every_epoch
    training = Tune(config)
    ray.get(training.actor.train_buffered.remote(0.0, 1))
    assert open_checkpoint_store(config["checkpoints"]).checkpoint_numbers("study/run") == []
    kept = read_checkpoint(tmp_path / "study/run")
    assert kept is not None and kept.epoch <= 5
    rest = Tune(config | {"resumes": True})
    rest.finish()
    assert len(set(rest.epochs)) == len(rest.epochs), "none is reported twice"


def test_a_training_whose_worker_is_lost_goes_on_in_another(
    tmp_path: Path, request_: StudyRequest
) -> None:
    training = Tune(config_of_a_run(tmp_path, request_))
    for _ in range(4):
        training.advance()
    worker = first(descendants(os.getpid()), "ray::Trainer")
    assert worker is not None and kill(worker)
    training.advance()
    assert training.epochs == [1, 2, 3, 4, *range(1, 6)]
    assert training.results[4][WARNING] == LOST_WORKER


def test_a_training_whose_state_cannot_be_kept_goes_on_and_says_so(
    tmp_path: Path, request_: StudyRequest
) -> None:
    (tmp_path / "a file").touch()
    training = Tune(config_of_a_run(tmp_path / "a file", request_))
    results = training.finish()
    warned = [result[WARNING] for result in results if WARNING in result]
    assert len(warned) == len(results) - 1, "after every epoch but the last"
    assert "could not be saved" in warned[0]
    assert results[-1][OUTCOME]


def test_a_training_that_finds_no_pool_is_lost_and_not_failed(
    tmp_path: Path, request_: StudyRequest
) -> None:
    training = Tune(config_of_a_run(tmp_path, request_))
    ray.get(call_when_ready(training.actor))
    ray.kill(open_pool(Trainer))
    with pytest.raises(RayTaskError, match="WorkersLost"):
        training.finish()
