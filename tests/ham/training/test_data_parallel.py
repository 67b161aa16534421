"""Two devices train what one would: here processes on CPU, which meet over gloo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.nn.functional import cross_entropy

from ham.catalog import SPARSIFIERS
from ham.config import RECIPE_BASELINE, HamConfig, RunConfig
from ham.data import Part
from ham.errors import DivergedRun, HamError, InvalidConfig
from ham.training import Training, train
from ham.training.checkpoints import pack_checkpoint, unpack_checkpoint
from ham.training.data_parallel import Devices, ParallelTraining, training_on
from tests.ham.training.conftest import MakeConfig, make_short
from tests.ham.two_processes import in_two_processes

pytestmark = pytest.mark.xdist_group("devices")  # what all train beside each other, once

EVERY_SPARSIFIER = SPARSIFIERS.names()
HAM_ON = HamConfig(alpha=20.0, beta=1e-2)

Weights = dict[str, Tensor]


def config_for(sparsifier: str) -> RunConfig:
    setting = HAM_ON if SPARSIFIERS.get(sparsifier).takes_ham else RECIPE_BASELINE
    return make_short(sparsifier, "digits_cnn", setting, epochs=1, batch_size=96)


def check_gradients(team: Devices) -> None:
    """Compare the gradients of a batch of 7 with those that one device has."""
    torch.manual_seed(0)
    model, images, labels = nn.Linear(5, 3), torch.randn(7, 5), torch.arange(7) % 3
    whole = cross_entropy(model(images), labels)
    expected = torch.autograd.grad(whole, list(model.parameters()))
    mine = cross_entropy(model(team.part.take(images)), team.part.take(labels))
    loss = team.backward(mine, len(team.part.take(labels)) / 7, model)
    torch.testing.assert_close(loss, whole.detach())
    torch.testing.assert_close([p.grad for p in model.parameters()], list(expected))


def train_all(rank: int, store: str) -> dict[str, Weights]:
    """Train beside every sparsifier on one of two devices; then let the devices come apart."""
    team = Devices(Part(rank, 2), "cpu", store)
    found: dict[str, Weights] = {}
    try:
        check_gradients(team)
        for sparsifier in EVERY_SPARSIFIER:
            training = Training(config_for(sparsifier), device="cpu", team=team)
            while not training.finished:
                training.run_epoch()
            training.finish(measure_test=True)
            state = training.model.state_dict()
            found[sparsifier] = {name: value.clone() for name, value in state.items()}
        with torch.no_grad():
            next(training.model.parameters())[0] += rank
        with suppress(HamError):
            team.agree(training.model)
            raise AssertionError("weights that differ were taken for equal")
    finally:
        distributed.destroy_process_group()
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Weights], ...]:
    """The weights after training, on either device."""
    return in_two_processes(train_all, tmp_path_factory.mktemp("devices"))


@pytest.mark.parametrize("sparsifier", EVERY_SPARSIFIER)
def test_masks_and_weights_stay_equal_on_all_devices(
    both: tuple[dict[str, Weights], ...], sparsifier: str
) -> None:
    first, second = (device[sparsifier] for device in both)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def on_two(make_config: MakeConfig) -> Iterator[ParallelTraining]:
    training = training_on(2, make_config("rigl", setting=HAM_ON))
    assert isinstance(training, ParallelTraining)
    yield training
    training._dismiss()


def test_two_devices_take_the_steps_of_one(
    on_two: ParallelTraining, make_config: MakeConfig
) -> None:
    """But for batch normalization, which each of them does by its own examples."""
    alone = Training(make_config("rigl", setting=HAM_ON), device="cpu")
    mine, theirs = alone.run_epoch(), on_two.run_epoch()
    assert theirs.train_loss == pytest.approx(mine.train_loss, rel=0.05)
    assert theirs.validation_accuracy == pytest.approx(mine.validation_accuracy, abs=0.02)
    while not on_two.finished:
        on_two.run_epoch()
    result = on_two.finish(measure_test=True)
    reference = train(alone.config, measure_test=True, device="cpu")
    assert result.sparsity == reference.sparsity
    assert result.measures.training_flops == reference.measures.training_flops
    assert result.test_accuracy == pytest.approx(reference.test_accuracy, abs=0.03)
    device = str(reference.environment["device"])
    assert result.environment == reference.environment | {
        "device": f"2 x {device}",
        "devices": 2,
    }


def test_training_on_several_devices_resumes_bit_equal(
    on_two: ParallelTraining, make_config: MakeConfig
) -> None:
    on_two.run_epoch()
    state = pack_checkpoint(on_two.state_dict())
    first = [on_two.run_epoch().train_loss for _ in range(2)]
    expected = on_two.finish(measure_test=True)
    resumed = ParallelTraining(on_two.config, ["cpu", "cpu"])
    resumed.load_state_dict(unpack_checkpoint(state))
    assert [resumed.run_epoch().train_loss for _ in range(2)] == first
    found = resumed.finish(measure_test=True)
    assert found.test_accuracy == expected.test_accuracy


def test_all_devices_notice_that_a_training_diverges(make_config: MakeConfig) -> None:
    training = ParallelTraining(make_config("dense", learning_rate=1e30), ["cpu", "cpu"])
    (other,) = training._others
    with pytest.raises(DivergedRun):
        training.run_epoch()
    other.process.join(30)
    assert other.process.exitcode == 0


def test_device_that_is_lost_ends_the_training_with_an_error(on_two: ParallelTraining) -> None:
    on_two.run_epoch()
    on_two._others[0].process.kill()
    on_two._others[0].process.join()
    with pytest.raises((RuntimeError, OSError)):
        on_two.run_epoch()


HOLDER = """
import sys, time
from tests.ham.training.conftest import make_short
from ham.training.data_parallel import training_on
if __name__ == "__main__":
    training = training_on(2, make_short("rigl"))
    print(training._others[0].process.pid, flush=True)
    time.sleep(600)
"""


def test_other_devices_end_with_the_process_that_began_them(tmp_path: Path) -> None:
    script = tmp_path / "holder.py"
    script.write_text(HOLDER)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as holder:
        assert holder.stdout is not None
        other = int(holder.stdout.readline())
        holder.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while _runs(other):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # nobody may be left to ask for its status


@pytest.mark.parametrize(
    "count, batch_size, field", [(3, 2, "batch_size"), (0, 64, "devices"), (-1, 64, "devices")]
)
def test_devices_without_work_are_refused(count: int, batch_size: int, field: str) -> None:
    with pytest.raises(InvalidConfig) as told:
        training_on(count, make_short("rigl", batch_size=batch_size))
    assert told.value.field == field


def test_one_device_needs_no_other_process(make_config: MakeConfig) -> None:
    training: Any = training_on(1, make_config())
    assert isinstance(training, Training)
