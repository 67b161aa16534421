"""A trainable on a real Ray: its training outlives it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import RayTaskError

from ham.config import RunConfig
from service.domain.plans import resolve
from service.records import StudyRequest
from service.settings import Settings
from service.workers import cluster
from service.workers.checkpoints import Checkpoint, checkpoint_path
from service.workers.pool import open_pool
from service.workers.trainable import OUTCOME, TrainRun
from service.workers.trainer import Trainer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]


@pytest.fixture
def one_cpu(tmp_path: Path) -> Iterator[None]:
    cluster.start_local(Settings(data_dir=tmp_path, cpus=1))
    open_pool(Trainer)
    yield
    ray.shutdown()


def config_of_a_run(folder: Path, request_: StudyRequest) -> dict[str, Any]:
    plan = resolve(request_)
    run = RunConfig(
        combination=plan.combination, recipe=plan.recipe, setting=plan.baselines[1], seed=3
    ).to_json()
    path = checkpoint_path(folder, study_id="study", run_id="run", run=run)
    return {
        "run_id": "run",
        "run": run,
        "measure_test": True,
        "resources": {"CPU": 1.0},
        "seconds": 120.0,
        "pauses": list(range(1, 100)),
        "may_come_back": True,
        "checkpoint": str(path),
        "checkpoint_seconds": 1e9,  # so only the pauses make it write
    }


def start(config: dict[str, Any]) -> Any:
    return ray.remote(TrainRun).options(num_cpus=0).remote(config)


def rest_of(trainable: Any) -> list[dict[str, Any]]:
    results = ray.get(trainable.train_buffered.remote(0.0, 1))
    while not results[-1]["done"]:
        results += ray.get(trainable.train_buffered.remote(0.0, 1))
    return results  # type: ignore[no-any-return]


def test_a_training_whose_runner_is_lost_goes_on_from_its_file_and_ends_bit_equal(
    one_cpu: None, tmp_path: Path, request_: StudyRequest
) -> None:
    config = config_of_a_run(tmp_path / "undisturbed", request_)
    whole = rest_of(start(config))
    assert all(not result["done"] for result in whole[:-1])

    config = config_of_a_run(tmp_path / "disturbed", request_)
    lost = start(config)
    for _ in range(4):
        ray.get(lost.train_buffered.remote(0.0, 1))
    written = Path(config["checkpoint"]).stat().st_mtime_ns
    ray.kill(lost)
    rest = rest_of(start(config))
    assert Path(config["checkpoint"]).stat().st_mtime_ns > written
    epochs = [json.loads(result["epoch_metrics"])["epoch"] for result in rest]
    assert epochs == list(range(1, len(whole) + 1)), "its epochs are reported again"

    def facts(results: list[dict[str, Any]]) -> dict[str, Any]:
        outcome = json.loads(results[-1][OUTCOME])
        curve = [point | {"seconds": None} for point in outcome["curve"]]
        return {
            "accuracies": (outcome["validation_accuracy"], outcome["test_accuracy"]),
            "curve": curve,
            "sparsity": outcome["measures"]["sparsity"],
        }

    assert facts(rest) == facts(whole)


def test_a_training_that_finds_no_pool_is_lost_and_not_failed(
    one_cpu: None, tmp_path: Path, request_: StudyRequest
) -> None:
    trainable = start(config_of_a_run(tmp_path, request_))
    ray.get(trainable.__ray_ready__.remote())
    ray.kill(open_pool(Trainer))
    with pytest.raises(RayTaskError, match="WorkersLost"):
        rest_of(trainable)


def test_a_state_is_written_wholly_or_not_at_all_and_fits_its_config_alone(
    tmp_path: Path, request_: StudyRequest
) -> None:
    run = config_of_a_run(tmp_path, request_)["run"]
    path = checkpoint_path(tmp_path, study_id="study", run_id="run", run=run)
    checkpoint = Checkpoint(path)
    assert checkpoint.read() is None
    checkpoint.remove()
    for state in (b"one", b"two"):
        checkpoint.write(state)
        assert checkpoint.read() == state
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    other = checkpoint_path(tmp_path, study_id="study", run_id="run", run=run | {"seed": 4})
    assert Checkpoint(other).read() is None
    checkpoint.remove()
    assert checkpoint.read() is None
