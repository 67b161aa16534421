"""What a worker process does, with real trainings and no Ray."""

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
from service.records import Outcome
from service.workers.cluster.checkpoint_files import read_checkpoint
from service.workers.cluster.trainer import Advance, Trainer

EPOCHS = 3
LONG = 1e9


@pytest.fixture
def run(plan: Plan) -> dict[str, Any]:
    return RunConfig(
        combination=plan.combination,
        recipe=replace(plan.recipe, epochs=EPOCHS),
        setting=PAPER_DEFAULT,
        seed=0,
    ).to_json()


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
    trainer = Trainer()
    trainer.begin(run, measure_test=True)
    assert epochs(trainer.advance(LONG, until=1)) == [1]
    assert epochs(trainer.advance(0)) == [2]
    last = trainer.advance(LONG)
    assert epochs(last) == [3]
    assert last.outcome is not None
    outcome = Outcome.model_validate_json(last.outcome)
    assert outcome.error is None
    assert outcome.test_accuracy is not None
    assert [point.epoch for point in outcome.curve] == [1, 2, 3]
    assert outcome.measures.cost.peak_memory_bytes > 0


def test_a_state_goes_on_in_another_worker_as_if_nothing_had_happened(
    run: dict[str, Any],
) -> None:
    whole, first, second = Trainer(), Trainer(), Trainer()
    whole.begin(run, measure_test=False)
    undisturbed = whole.advance(LONG)

    first.begin(run, measure_test=False)
    first.advance(LONG, until=2)
    second.begin(run, measure_test=False, checkpoint=first.checkpoint())
    resumed = second.advance(LONG)
    assert epochs(resumed) == [1, 2, 3], "what the state brings with it is reported again"
    assert curve(resumed) == curve(undisturbed)
    accuracy = [
        json.loads(advance.outcome or "")["validation_accuracy"]
        for advance in (resumed, undisturbed)
    ]
    assert accuracy[0] == accuracy[1]


def test_it_keeps_the_state_of_every_short_epoch_but_the_last(
    run: dict[str, Any], tmp_path: Path
) -> None:
    trainer = Trainer()
    trainer.begin(run, measure_test=False, folder=tmp_path, seconds_between_checkpoints=0)
    for epoch in range(1, EPOCHS):
        advance = trainer.advance(LONG, until=epoch)
        assert not advance.checkpoint_is_due
        kept = read_checkpoint(tmp_path)
        assert kept is not None and kept.epoch == epoch
    assert trainer.advance(LONG).outcome is not None
    assert read_checkpoint(tmp_path) == kept, "the outcome is not stored yet"

    trainer.begin(run, measure_test=False, checkpoint=kept.content)
    assert epochs(trainer.advance(LONG)) == [1, 2, 3]


def test_states_that_it_cannot_keep_or_that_are_not_due(
    run: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer()
    for missing in (None, tmp_path / "on another machine"):
        trainer.begin(run, measure_test=False, folder=missing, seconds_between_checkpoints=0)
        advance = trainer.advance(LONG)
        assert (epochs(advance), advance.checkpoint_is_due) == ([1], True), "others are to keep it"

    (tmp_path / "away").mkdir()
    trainer.begin(run, measure_test=False, folder=tmp_path / "away", seconds_between_checkpoints=0)
    (tmp_path / "away").rmdir()
    assert trainer.advance(LONG).checkpoint_is_due

    trainer.begin(run, measure_test=False, folder=tmp_path, seconds_between_checkpoints=LONG)
    assert epochs(trainer.advance(LONG)) == [1, 2, 3]
    assert read_checkpoint(tmp_path) is None

    monkeypatch.setattr("service.workers.cluster.trainer._SHORT_EPOCH_SECONDS", 0.0)
    trainer.begin(run, measure_test=False, folder=tmp_path, seconds_between_checkpoints=0)
    advance = trainer.advance(LONG)
    assert (epochs(advance), advance.checkpoint_is_due) == ([1], True), (
        "those of long epochs are Tune's"
    )
    assert read_checkpoint(tmp_path) is None


def test_a_state_that_cannot_be_read_is_no_reason_to_fail(run: dict[str, Any]) -> None:
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
    told = json.loads(outcome)
    assert told["error"] == reason
    assert type(error).__name__ in (told["traceback"] or "") or isinstance(error, DivergedRun)


def test_it_is_told_where_a_training_took_place_that_does_not_come_to_its_end(
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


def test_it_trains_on_all_devices_that_it_has(run: dict[str, Any]) -> None:
    """Without GPUs the devices are processes."""
    trainer = Trainer(gpus=2)
    trainer.begin(run, measure_test=True)
    last = trainer.advance(LONG)
    assert epochs(last) == [1, 2, 3]
    assert last.outcome is not None
    outcome = Outcome.model_validate_json(last.outcome)
    assert outcome.error is None
    assert outcome.environment["devices"] == 2
    assert outcome.environment["device"].startswith("2 x ")
    assert outcome.measures.cost.gpu_seconds == pytest.approx(2 * outcome.seconds)
