"""A training on two devices equals one on a single device; here two CPU processes over gloo."""

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
from ham.training.data_parallel import DistributedDeviceGroup, ParallelTraining, training_on
from tests.ham.training.conftest import MakeConfig, make_short
from tests.ham.two_processes import in_two_processes

pytestmark = pytest.mark.xdist_group("devices")  # one process runs the fixture `both`, once

EVERY_SPARSIFIER = SPARSIFIERS.names()
HAM_ON = HamConfig(alpha=20.0, beta=1e-2)

Weights = dict[str, Tensor]


def config_for(sparsifier: str) -> RunConfig:
    ham_config = HAM_ON if SPARSIFIERS.get(sparsifier).takes_ham else RECIPE_BASELINE
    return make_short(sparsifier, "digits_cnn", ham_config, epochs=1, batch_size=96)


def check_gradients(group: DistributedDeviceGroup) -> None:
    """Compare the gradients of a batch of 7 examples with those of a single device."""
    torch.manual_seed(0)
    model, images, labels = nn.Linear(5, 3), torch.randn(7, 5), torch.arange(7) % 3
    whole = cross_entropy(model(images), labels)
    expected = torch.autograd.grad(whole, list(model.parameters()))
    own = cross_entropy(model(group.part.take(images)), group.part.take(labels))
    loss = group.backward(own, len(group.part.take(labels)) / 7, model)
    torch.testing.assert_close(loss, whole.detach())
    torch.testing.assert_close([p.grad for p in model.parameters()], list(expected))


def train_all(rank: int, store: str) -> dict[str, Weights]:
    """Train with every sparsifier on one of two devices; then make the weights differ."""
    group = DistributedDeviceGroup(Part(rank, 2), "cpu", store)
    trained: dict[str, Weights] = {}
    try:
        check_gradients(group)
        for sparsifier in EVERY_SPARSIFIER:
            training = Training(config_for(sparsifier), device="cpu", device_group=group)
            while not training.finished:
                training.run_epoch()
            training.finish(measure_test=True)
            state = training.model.state_dict()
            trained[sparsifier] = {name: value.clone() for name, value in state.items()}
        with torch.no_grad():
            next(training.model.parameters())[0] += rank
        with suppress(HamError):
            group.synchronize(training.model)
            raise AssertionError("the check found weights equal that differ")
    finally:
        distributed.destroy_process_group()
    return trained


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Weights], ...]:
    """The weights after training, on each of the two devices."""
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
    training = training_on(2, make_config("rigl", ham_config=HAM_ON))
    assert isinstance(training, ParallelTraining)
    yield training
    training._stop_replicas()


def test_two_devices_take_the_steps_of_one(
    on_two: ParallelTraining, make_config: MakeConfig
) -> None:
    """Tolerances are for batch normalization, which uses each device's own examples."""
    on_one = Training(make_config("rigl", ham_config=HAM_ON), device="cpu")
    single, parallel = on_one.run_epoch(), on_two.run_epoch()
    assert parallel.train_loss == pytest.approx(single.train_loss, rel=0.05)
    assert parallel.validation_accuracy == pytest.approx(single.validation_accuracy, abs=0.02)
    while not on_two.finished:
        on_two.run_epoch()
    result = on_two.finish(measure_test=True)
    reference = train(on_one.config, measure_test=True, device="cpu")
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
    checkpoint = pack_checkpoint(on_two.state_dict())
    first = [on_two.run_epoch().train_loss for _ in range(2)]
    expected = on_two.finish(measure_test=True)
    resumed = ParallelTraining(on_two.config, ["cpu", "cpu"])
    resumed.load_state_dict(unpack_checkpoint(checkpoint))
    assert [resumed.run_epoch().train_loss for _ in range(2)] == first
    result = resumed.finish(measure_test=True)
    assert result.test_accuracy == expected.test_accuracy


def test_divergence_ends_the_training_on_all_devices(make_config: MakeConfig) -> None:
    training = ParallelTraining(make_config("dense", learning_rate=1e30), ["cpu", "cpu"])
    (replica,) = training._replicas
    with pytest.raises(DivergedRun):
        training.run_epoch()
    replica.process.join(30)
    assert replica.process.exitcode == 0


def test_loss_of_a_device_raises_an_error(on_two: ParallelTraining) -> None:
    on_two.run_epoch()
    on_two._replicas[0].process.kill()
    on_two._replicas[0].process.join()
    with pytest.raises((RuntimeError, OSError)):
        on_two.run_epoch()


HOLDER = """
import sys, time
from tests.ham.training.conftest import make_short
from ham.training.data_parallel import training_on
if __name__ == "__main__":
    training = training_on(2, make_short("rigl"))
    print(training._replicas[0].process.pid, flush=True)
    time.sleep(600)
"""


def test_replicas_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    script = tmp_path / "holder.py"
    script.write_text(HOLDER)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as holder:
        assert holder.stdout is not None
        replica = int(holder.stdout.readline())
        holder.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while _runs(replica):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # a zombie: its parent may be dead, so nobody waits for it


@pytest.mark.parametrize(
    "count, batch_size, field", [(3, 2, "batch_size"), (0, 64, "devices"), (-1, 64, "devices")]
)
def test_device_counts_that_leave_a_device_without_examples_are_refused(
    count: int, batch_size: int, field: str
) -> None:
    with pytest.raises(InvalidConfig) as caught:
        training_on(count, make_short("rigl", batch_size=batch_size))
    assert caught.value.field == field


def test_one_device_has_no_replicas(make_config: MakeConfig) -> None:
    training: Any = training_on(1, make_config())
    assert isinstance(training, Training)
