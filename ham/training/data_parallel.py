"""Data-parallel training on several devices of one machine.

Every device has a process that runs the same training with the same seeds, and computes the
gradients of its own share of each batch. The gradients are averaged over all devices before the
optimizer and the sparsifier read them. Masks and weights therefore stay equal on all devices
without being sent. Two things differ from a training on one device: batch normalization uses the
statistics of a device's share of the batch, and each device draws its own augmentations.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from weakref import finalize

import torch
from torch import Tensor, distributed, nn

from ham.config import RunConfig
from ham.data import Part
from ham.errors import HamError, InvalidConfig
from ham.results import EpochMetrics
from ham.training.checkpoints import pack_checkpoint, unpack_checkpoint
from ham.training.device_group import DeviceGroup
from ham.training.loop import Training
from ham.training.results import RunResult

logger = logging.getLogger(__name__)

_COLLECTIVE_TIMEOUT = timedelta(minutes=15)
"""How long a device waits for the others, which may need minutes to load data and to compile."""
_EXIT_TIMEOUT_SECONDS = 10.0


class DistributedDeviceGroup(DeviceGroup):
    """One device's membership in a group of several devices, over :mod:`torch.distributed`.

    Args:
        part: this device's share of every batch.
        device: name of this device.
        store: path of a file that does not exist yet; the processes of the group find each other
            through it.
    """

    def __init__(self, part: Part, device: str, store: str) -> None:
        self.part = part
        backend = "nccl" if device.startswith("cuda") else "gloo"
        if backend == "nccl":
            torch.cuda.set_device(device)
        distributed.init_process_group(
            backend,
            init_method=f"file://{store}",
            rank=part.number,
            world_size=part.of,
            timeout=_COLLECTIVE_TIMEOUT,
        )

    def stream(self, name: str) -> str:
        """Return the name of this device's own random stream."""
        return f"{name}, device {self.part.number}" if self.part.number else name

    def name(self, device: str) -> str:
        """Return the name of the group, for example ``"2 x cpu"``."""
        return f"{self.part.of} x {device}"

    def backward(self, loss: Tensor, share: float, model: nn.Module) -> Tensor:
        """Compute the gradients of the whole batch, and return the loss of the whole batch."""
        (loss * share).backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([*(grad.flatten() for grad in gradients), (loss * share).detach()[None]])
        distributed.all_reduce(flat)
        *sums, loss = flat.split([*(grad.numel() for grad in gradients), 1])
        for grad, summed in zip(gradients, sums, strict=True):
            grad.copy_(summed.view_as(grad))
        return loss[0]

    def synchronize(self, model: nn.Module) -> None:
        """Average the statistics of batch normalization, and check that the weights are equal.

        Raises:
            HamError: the weights differ between two devices.
        """
        for module in model.modules():
            for statistic in ("running_mean", "running_var"):
                if (value := getattr(module, statistic, None)) is not None:
                    distributed.all_reduce(value)
                    value /= self.part.of
        sums = torch.stack([p.detach().double().sum() for p in model.parameters()])
        both = torch.cat([sums, -sums])
        distributed.all_reduce(both, distributed.ReduceOp.MAX)
        if not torch.equal(both[: len(sums)], -both[len(sums) :]):
            raise HamError(
                "the weights differ between the devices of this training, and they must be "
                "equal; train it on one device"
            )

    def total(self, number: int, device: torch.device) -> int:
        """Return the sum of a number over all devices."""
        summed = torch.tensor(number, device=device)
        distributed.all_reduce(summed)
        return int(summed)


class ParallelTraining:
    """A training on several devices, with the methods of :class:`~ham.training.loop.Training`.

    This process uses the first device. Every other device has a process of its own, a replica.
    Replicas end with this object or with this process.

    Args:
        config: the run config.
        devices: names of two or more torch devices.

    Raises:
        InvalidConfig: a batch has fewer examples than there are devices, or the recipe does not
            fit the data.
    """

    def __init__(self, config: RunConfig, devices: Sequence[str]) -> None:
        if config.recipe.batch_size < len(devices):
            raise InvalidConfig(
                "batch_size",
                config.recipe.batch_size,
                f"each of {len(devices)} devices needs at least one example",
            )
        folder = TemporaryDirectory(prefix="ham")
        store = str(Path(folder.name) / "store")
        self._replicas = [
            _Replica(config, Part(number, len(devices)), device, store)
            for number, device in enumerate(devices)
            if number > 0
        ]
        self._stop_replicas = finalize(self, _stop_replicas, self._replicas, folder)
        try:
            group = DistributedDeviceGroup(Part(0, len(devices)), devices[0], store)
            self._training = Training(config, device=devices[0], device_group=group)
        except BaseException:
            self._stop_replicas()
            raise

    @property
    def config(self) -> RunConfig:
        """The run config."""
        return self._training.config

    @property
    def environment(self) -> dict[str, Any]:
        """Devices, versions, threads, precision and hashes of data and code."""
        return self._training.environment

    @property
    def epochs_done(self) -> int:
        """Epochs trained so far."""
        return self._training.epochs_done

    @property
    def finished(self) -> bool:
        """True if every epoch of the run is trained."""
        return self._training.finished

    def run_epoch(self) -> EpochMetrics:
        """Train one epoch and measure the validation accuracy."""
        self._send(_run_epoch)
        return self._training.run_epoch()

    def finish(self, *, measure_test: bool) -> RunResult:
        """Finalize the sparsifier, measure the finished model, and stop the replicas."""
        self._send(_finish, measure_test)
        result = self._training.finish(measure_test=measure_test)
        self._stop_replicas()
        return result

    def state_dict(self) -> dict[str, Any]:
        """Return the state from which a training on as many devices continues bit-equal."""
        return self._training.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        self._training.load_state_dict(state)
        self._send(_load_checkpoint, pack_checkpoint(state))

    def _send(self, command: Callable[..., object], *arguments: Any) -> None:
        for replica in self._replicas:
            replica.commands.send((command, arguments))


def training_on(count: int, config: RunConfig) -> Training | ParallelTraining:
    """Return a training on several GPUs, or in several CPU processes if there is no GPU.

    Args:
        count: number of devices, >= 1.
        config: the run config.

    Raises:
        InvalidConfig: this process sees fewer GPUs, a batch has fewer examples than there are
            devices, or the recipe does not fit the data.
    """
    if count < 1:
        raise InvalidConfig("devices", count, "it must be at least 1")
    if count == 1:
        return Training(config)
    if not torch.cuda.is_available():
        return ParallelTraining(config, ["cpu"] * count)
    if count > torch.cuda.device_count():
        visible = torch.cuda.device_count()
        raise InvalidConfig("devices", count, f"this process sees {visible} GPUs")
    return ParallelTraining(config, [f"cuda:{number}" for number in range(count)])


class _Replica:
    """The process of a device other than the first, and the pipe that sends it commands."""

    def __init__(self, config: RunConfig, part: Part, device: str, store: str) -> None:
        context = get_context("spawn")
        received, self.commands = context.Pipe(duplex=False)
        self.process = context.Process(
            target=_run_replica, args=(config.to_json(), part, device, store, received)
        )
        self.process.start()
        received.close()


def _run_replica(
    config: dict[str, Any], part: Part, device: str, store: str, commands: Connection
) -> None:
    """Run the same training as the first device, one command at a time."""
    try:
        group = DistributedDeviceGroup(part, device, store)
        training = Training(RunConfig.from_json(config), device=device, device_group=group)
        while True:
            command, arguments = commands.recv()
            command(training, *arguments)
    except EOFError:
        pass  # the first device's process has closed the pipe, or has ended
    except (HamError, RuntimeError) as error:  # the first device raises the same, or caused it
        logger.info("device %d ends: %s", part.number, error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # gloo's threads may abort an interpreter that ends (pytorch pull request 179291)


def _run_epoch(training: Training) -> None:
    training.run_epoch()


def _finish(training: Training, measure_test: bool) -> None:
    training.finish(measure_test=measure_test)


def _load_checkpoint(training: Training, checkpoint: bytes) -> None:
    training.load_state_dict(unpack_checkpoint(checkpoint))


def _stop_replicas(replicas: Sequence[_Replica], folder: TemporaryDirectory[str]) -> None:
    for replica in replicas:
        replica.commands.close()
    if distributed.is_initialized():
        distributed.destroy_process_group()
    for replica in replicas:
        replica.process.join(_EXIT_TIMEOUT_SECONDS)
        if replica.process.is_alive():
            replica.process.kill()
            replica.process.join()
    folder.cleanup()
