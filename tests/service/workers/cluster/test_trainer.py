"""The worker, with real trainings, without Ray, and on a clock that the tests move."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ham.client.records import EpochMetrics, Plan
from ham.config import PAPER_DEFAULT, RunConfig
from ham.errors import DivergedRun
from ham.training import Training
from service.records import Outcome
from service.workers.cluster.checkpoint_files import read_checkpoint
from service.workers.cluster.trainer import Advance, Trainer

EPOCHS = 3
LONG = 1e9
SECONDS_OF_A_LONG_EPOCH = 1.5


@pytest.fixture
def run(plan: Plan) -> dict[str, Any]:
    return RunConfig(
        combination=plan.combination,
        recipe=replace(plan.recipe, epochs=EPOCHS),
        setting=PAPER_DEFAULT,
        seed=0,
    ).to_json()


class Clock:
    """Stands still, except that an epoch may take a number of seconds."""

    def __init__(self, seconds_of_an_epoch: float = 0.0) -> None:
        self._now = 0.0
        self._seconds_of_an_epoch = seconds_of_an_epoch

    def __call__(self) -> float:
        return self._now

    def training(self, run: RunConfig) -> Training:
        """Make a real training whose epochs take that long on this clock."""
        training = Training(run)
        run_epoch = training.run_epoch

        def timed() -> EpochMetrics:
            self._now += self._seconds_of_an_epoch
            return run_epoch()

        training.run_epoch = timed  # type: ignore[method-assign]
        return training


def trainer_on(clock: Clock) -> Trainer:
    return Trainer(clock.training, clock=clock)


def epochs(advance: Advance) -> list[int]:
    return [EpochMetrics(**json.loads(epoch)).epoch for epoch in advance.epochs]


def curve(advance: Advance) -> list[float]:
    return [EpochMetrics(**json.loads(epoch)).validation_accuracy for epoch in advance.epochs]


FIRST_TRAINING = """
import json, sys
from service.workers.cluster.trainer import Trainer
trainer = Trainer()
trainer.warm_up()
warm = set(sys.modules)
trainer.begin(json.loads(sys.argv[1]), measure_test=False)
assert trainer.advance(1e9).outcome
print(*sorted(name for name in set(sys.modules) - warm if name.split(".")[0] == "torch"))
"""


def test_a_warm_worker_imports_no_part_of_torch_in_its_first_training(run: dict[str, Any]) -> None:
    command = [sys.executable, "-c", FIRST_TRAINING, json.dumps(run)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []


def test_it_trains_until_an_epoch_or_until_the_time_is_over(run: dict[str, Any]) -> None:
    trainer = trainer_on(Clock(seconds_of_an_epoch=10.0))
    trainer.begin(run, measure_test=True)
    assert epochs(trainer.advance(LONG, until=1)) == [1]
    assert epochs(trainer.advance(5.0)) == [2]
    last = trainer.advance(LONG)
    assert epochs(last) == [3]
    assert last.outcome is not None
    outcome = Outcome.model_validate_json(last.outcome)
    assert outcome.error is None
    assert outcome.test_accuracy is not None
    assert [point.epoch for point in outcome.curve] == [1, 2, 3]
    cost = outcome.measures.cost
    assert cost is not None and cost.peak_memory_bytes is not None
    assert cost.peak_memory_bytes > 0


def test_a_training_continues_bit_equal_in_another_worker(run: dict[str, Any]) -> None:
    whole, first, second = Trainer(), Trainer(), Trainer()
    whole.begin(run, measure_test=False)
    undisturbed = whole.advance(LONG)

    first.begin(run, measure_test=False)
    first.advance(LONG, until=2)
    second.begin(run, measure_test=False, checkpoint=first.checkpoint())
    resumed = second.advance(LONG)
    assert epochs(resumed) == [1, 2, 3], "the epochs in the checkpoint are reported again"
    assert curve(resumed) == curve(undisturbed)
    accuracy = [
        json.loads(advance.outcome or "")["validation_accuracy"]
        for advance in (resumed, undisturbed)
    ]
    assert accuracy[0] == accuracy[1]


def test_it_writes_a_checkpoint_of_every_short_epoch_but_the_last(
    run: dict[str, Any], tmp_path: Path
) -> None:
    trainer = trainer_on(Clock())
    trainer.begin(run, measure_test=False, folder=tmp_path, seconds_between_checkpoints=0)
    for epoch in range(1, EPOCHS):
        advance = trainer.advance(LONG, until=epoch)
        assert not advance.checkpoint_is_due
        kept = read_checkpoint(tmp_path)
        assert kept is not None and kept.epoch == epoch
    assert trainer.advance(LONG).outcome is not None
    assert read_checkpoint(tmp_path) == kept, "the outcome is not stored yet"

    assert kept is not None
    trainer.begin(run, measure_test=False, checkpoint=kept.content)
    assert epochs(trainer.advance(LONG)) == [1, 2, 3]


def test_it_leaves_checkpoints_to_its_caller_that_it_cannot_write(
    run: dict[str, Any], tmp_path: Path
) -> None:
    trainer = trainer_on(Clock())
    for missing in (None, tmp_path / "on another machine"):
        trainer.begin(run, measure_test=False, folder=missing, seconds_between_checkpoints=0)
        advance = trainer.advance(LONG)
        assert (epochs(advance), advance.checkpoint_is_due) == ([1], True)

    (tmp_path / "away").mkdir()
    trainer.begin(run, measure_test=False, folder=tmp_path / "away", seconds_between_checkpoints=0)
    (tmp_path / "away").rmdir()
    assert trainer.advance(LONG).checkpoint_is_due


def test_it_leaves_checkpoints_of_long_epochs_to_its_caller(
    run: dict[str, Any], tmp_path: Path
) -> None:
    trainer = trainer_on(Clock(SECONDS_OF_A_LONG_EPOCH))
    trainer.begin(run, measure_test=False, folder=tmp_path, seconds_between_checkpoints=0)
    advance = trainer.advance(LONG)
    assert (epochs(advance), advance.checkpoint_is_due) == ([1], True)
    assert read_checkpoint(tmp_path) is None


def test_it_writes_no_checkpoint_before_it_is_due(run: dict[str, Any], tmp_path: Path) -> None:
    clock = Clock(SECONDS_OF_A_LONG_EPOCH / 2)
    trainer = trainer_on(clock)
    trainer.begin(run, measure_test=False, folder=tmp_path, seconds_between_checkpoints=LONG)
    assert epochs(trainer.advance(LONG)) == [1, 2, 3]
    assert read_checkpoint(tmp_path) is None

    every_other = SECONDS_OF_A_LONG_EPOCH
    trainer.begin(
        run, measure_test=False, folder=tmp_path, seconds_between_checkpoints=every_other
    )
    assert epochs(trainer.advance(LONG)) == [1, 2, 3]
    kept = read_checkpoint(tmp_path)
    assert kept is not None and kept.epoch == 2


def test_it_begins_anew_if_the_checkpoint_cannot_be_read(run: dict[str, Any]) -> None:
    trainer = Trainer()
    trainer.begin(run, measure_test=False, checkpoint=b"cut off")
    advance = trainer.advance(0)
    assert epochs(advance) == [1]
    assert advance.outcome is None


@pytest.mark.parametrize(
    "error, reason",
    [
        (DivergedRun("the loss is nan"), "diverged: the loss is nan"),
        (MemoryError("no memory is left"), "MemoryError: no memory is left"),
    ],
)
def test_an_error_is_an_outcome(run: dict[str, Any], error: Exception, reason: str) -> None:
    def fail(_: RunConfig) -> Any:
        raise error

    trainer = Trainer(fail)
    trainer.begin(run, measure_test=False)
    epochs, outcome, environment, checkpoint_is_due = trainer.advance(LONG)
    assert (epochs, environment, checkpoint_is_due) == ([], "{}", False)
    assert outcome is not None
    stored = json.loads(outcome)
    assert stored["error"] == reason
    assert type(error).__name__ in (stored["traceback"] or "") or isinstance(error, DivergedRun)


def test_stopped_and_failed_trainings_have_an_environment(
    run: dict[str, Any],
) -> None:
    trainer = Trainer()
    trainer.begin(run, measure_test=False)
    stopped = trainer.advance(0)
    environment = json.loads(stopped.environment)
    assert {"device", "torch", "code", "data_hash"} <= environment.keys()
    run["recipe"]["learning_rate"] = 1e30
    trainer.begin(run, measure_test=False)
    failed = trainer.advance(LONG)
    assert failed.outcome is not None
    outcome = Outcome.model_validate_json(failed.outcome)
    assert outcome.error is not None and outcome.environment == environment


def test_it_trains_on_all_its_devices(run: dict[str, Any]) -> None:
    """Without GPUs, the devices are processes."""
    trainer = Trainer(gpus=2)
    trainer.begin(run, measure_test=True)
    last = trainer.advance(LONG)
    assert epochs(last) == [1, 2, 3]
    assert last.outcome is not None
    outcome = Outcome.model_validate_json(last.outcome)
    assert outcome.error is None
    assert outcome.environment["devices"] == 2
    assert outcome.environment["device"].startswith("2 x ")
    cost = outcome.measures.cost
    assert cost is not None and outcome.seconds is not None
    assert cost.gpu_seconds == pytest.approx(2 * outcome.seconds)
