"""One training on several devices of a machine: each takes its share of every batch.

All devices take the same steps on the same weights: a process each goes through the same training
with the same seeds, and only the gradients of its share of a batch are its own. Their mean over
all devices is that of the batch, and what optimizer and sparsifier then see, so masks and weights
stay equal without being sent. Two things differ from one device: batch normalization normalizes by
the examples of a share, as usual; and augmentation draws for each device apart.
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
from ham.training.checkpoints import pack_checkpoint, unpack_checkpoint
from ham.training.device_group import DeviceGroup
from ham.training.loop import Training
from ham.training.results import EpochReport, RunResult

logger = logging.getLogger(__name__)

_PATIENCE = timedelta(minutes=15)
"""How long a device waits for the others: they load data, and compile, at their own pace."""
_SECONDS_TO_LEAVE = 10.0


class Devices(DeviceGroup):
    """The devices of a training, seen from one of them.

    Args:
        part: which share is this device's.
        device: this device.
        store: a file, not there yet, over which all find each other.
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
            timeout=_PATIENCE,
        )

    def stream(self, name: str) -> str:
        """Return the random stream of this device."""
        return f"{name}, device {self.part.number}" if self.part.number else name

    def name(self, device: str) -> str:
        """Name the devices together."""
        return f"{self.part.of} x {device}"

    def backward(self, loss: Tensor, share: float, model: nn.Module) -> Tensor:
        """Leave the gradients of the whole batch in the parameters, and return its loss."""
        (loss * share).backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([*(grad.flatten() for grad in gradients), (loss * share).detach()[None]])
        distributed.all_reduce(flat)
        *whole, loss = flat.split([*(grad.numel() for grad in gradients), 1])
        for grad, summed in zip(gradients, whole, strict=True):
            grad.copy_(summed.view_as(grad))
        return loss[0]

    def agree(self, model: nn.Module) -> None:
        """Share the statistics of batch normalization, and see that the weights are equal.

        Raises:
            HamError: they are not.
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
                "the devices of this training have come apart: their weights differ; train it on "
                "one device"
            )

    def total(self, number: int, device: torch.device) -> int:
        """Return the sum of a number over all devices."""
        summed = torch.tensor(number, device=device)
        distributed.all_reduce(summed)
        return int(summed)


class ParallelTraining:
    """A training on several devices, to be used like :class:`~ham.training.loop.Training`.

    The first device is this process's; the others have processes of their own, which end with this
    object, or with this process.

    Args:
        config: what to train.
        devices: torch devices, two or more.

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
        self._others = [
            _Other(config, Part(number, len(devices)), device, store)
            for number, device in enumerate(devices)
            if number > 0
        ]
        self._dismiss = finalize(self, _dismiss, self._others, folder)
        try:
            team = Devices(Part(0, len(devices)), devices[0], store)
            self._training = Training(config, device=devices[0], team=team)
        except BaseException:
            self._dismiss()
            raise

    @property
    def config(self) -> RunConfig:
        """As given."""
        return self._training.config

    @property
    def environment(self) -> dict[str, Any]:
        """Devices, versions, precision and the data's hash."""
        return self._training.environment

    @property
    def epochs_done(self) -> int:
        """Epochs trained so far."""
        return self._training.epochs_done

    @property
    def finished(self) -> bool:
        """True once every epoch of the run is trained."""
        return self._training.finished

    def run_epoch(self) -> EpochReport:
        """Train one epoch and measure the validation accuracy."""
        self._tell(_run_epoch)
        return self._training.run_epoch()

    def finish(self, *, measure_test: bool) -> RunResult:
        """Finalize the sparsifier, measure the finished model, and let the other devices go."""
        self._tell(_finish, measure_test)
        result = self._training.finish(measure_test=measure_test)
        self._dismiss()
        return result

    def state_dict(self) -> dict[str, Any]:
        """Return all that a bit-equal continuation on as many devices needs."""
        return self._training.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""
        self._training.load_state_dict(state)
        self._tell(_load, pack_checkpoint(state))

    def _tell(self, do: Callable[..., object], *arguments: Any) -> None:
        for other in self._others:
            other.commands.send((do, arguments))


def training_on(count: int, config: RunConfig) -> Training | ParallelTraining:
    """Return a training on so many GPUs of this machine, or processes where it has none.

    Args:
        count: devices, >= 1.
        config: what to train.

    Raises:
        InvalidConfig: as :class:`ParallelTraining`; or there are fewer GPUs.
    """
    if count < 1:
        raise InvalidConfig("devices", count, "it must be at least 1")
    if count == 1:
        return Training(config)
    if not torch.cuda.is_available():
        return ParallelTraining(config, ["cpu"] * count)
    if count > torch.cuda.device_count():
        there = torch.cuda.device_count()
        raise InvalidConfig("devices", count, f"this process sees {there} GPUs")
    return ParallelTraining(config, [f"cuda:{number}" for number in range(count)])


class _Other:
    """Another device's process."""

    def __init__(self, config: RunConfig, part: Part, device: str, store: str) -> None:
        context = get_context("spawn")
        theirs, self.commands = context.Pipe(duplex=False)
        self.process = context.Process(
            target=_follow, args=(config.to_json(), part, device, store, theirs)
        )
        self.process.start()
        theirs.close()


def _follow(
    config: dict[str, Any], part: Part, device: str, store: str, commands: Connection
) -> None:
    """Go through the same training as the first device, command by command."""
    try:
        team = Devices(part, device, store)
        training = Training(RunConfig.from_json(config), device=device, team=team)
        while True:
            do, arguments = commands.recv()
            do(training, *arguments)
    except EOFError:
        pass  # whoever commands has let go, or is gone
    except (HamError, RuntimeError) as error:  # the first device has met it as well, or caused it
        logger.info("device %d ends: %s", part.number, error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # gloo's threads may abort an interpreter that ends (pytorch pull request 179291)


def _run_epoch(training: Training) -> None:
    training.run_epoch()


def _finish(training: Training, measure_test: bool) -> None:
    training.finish(measure_test=measure_test)


def _load(training: Training, state: bytes) -> None:
    training.load_state_dict(unpack_checkpoint(state))


def _dismiss(others: Sequence[_Other], folder: TemporaryDirectory[str]) -> None:
    for other in others:
        other.commands.close()
    if distributed.is_initialized():
        distributed.destroy_process_group()
    for other in others:
        other.process.join(_SECONDS_TO_LEAVE)
        if other.process.is_alive():
            other.process.kill()
            other.process.join()
    folder.cleanup()
