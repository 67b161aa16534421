"""The worker: a process that trains one run after another, with torch and the data kept loaded.

Workers belong to the worker pool (:mod:`service.workers.cluster.worker_pool`). They do not import
Ray Tune, since that takes seconds. Records travel as JSON text, checkpoints as bytes. Passing a
checkpoint to Tune takes longer than a short epoch, so a worker itself writes the checkpoints of
epochs that are shorter than a second.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from ham.config import RunConfig
from ham.errors import DivergedRun
from ham.results import EpochMetrics, MeasuredCost
from service.workers.cluster.checkpoint_files import TrainingCheckpoint, write_checkpoint

_BYTES_PER_MAXRSS = 1 if sys.platform == "darwin" else 1024
_SHORT_EPOCH_SECONDS = 1.0


class Advance(NamedTuple):
    """What :meth:`Trainer.advance` returns.

    Attributes:
        epochs: the epochs trained in this call, each as JSON.
        outcome: how the training ended, as JSON; None while it goes on.
        environment: hardware and software of the training, as JSON; ``{}`` if the training could
            not be built.
        checkpoint_is_due: the last epoch needs a checkpoint that the worker has not written.
    """

    epochs: list[str]
    outcome: str | None
    environment: str
    checkpoint_is_due: bool = False


class EpochByEpoch(Protocol):
    """The part of :class:`ham.training.Training` that a worker uses."""

    @property
    def environment(self) -> dict[str, Any]:
        """Hardware and software of the training, ready for JSON."""

    @property
    def epochs_done(self) -> int:
        """Number of epochs trained so far."""

    @property
    def finished(self) -> bool:
        """True once all epochs are trained."""

    def run_epoch(self) -> EpochMetrics:
        """Train one epoch and return its metrics."""

    def finish(self, *, measure_test: bool) -> Any:
        """Return the result, which has a method ``to_json``."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that a bit-equal continuation needs."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the training from a ``state_dict``."""


class Trainer:
    """Trains runs. An error of a training is an outcome with its reason, never an exception.

    An exception of a call to a worker therefore means that the worker is lost. Only then is a
    training worth a retry.

    Args:
        make_training: makes a training from its config; by default one on all GPUs of this
            process.
        gpus: number of GPUs that belong to this process.
        clock: returns the time in seconds; it decides which epochs are short and when a call
            returns.
    """

    def __init__(
        self,
        make_training: Callable[[RunConfig], EpochByEpoch] | None = None,
        gpus: float = 0,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._make_training = make_training or partial(_training, gpus)
        self._needs_torch = make_training is None
        self._gpus = gpus
        self._clock = clock
        self._training: EpochByEpoch | None = None
        self._environment: dict[str, Any] = {}

    def warm_up(self) -> None:
        """Import what every training needs."""
        if self._needs_torch:
            import_module("ham.training.warm_up")

    def begin(
        self,
        run: dict[str, Any],
        measure_test: bool,
        checkpoint: bytes | None = None,
        folder: Path | None = None,
        seconds_between_checkpoints: float = math.inf,
    ) -> None:
        """Begin a run. Its training is built when it first advances.

        Args:
            run: the run's config, ready for JSON.
            measure_test: whether the result includes the accuracy on test data.
            checkpoint: the packed checkpoint to continue from; None begins at the first epoch.
            folder: where to write the checkpoints of short epochs; None, or a folder that this
                machine does not have, leaves all checkpoints to the caller.
            seconds_between_checkpoints: least time between two checkpoints; 0 asks for one after
                every epoch.
        """
        self._run, self._measure_test, self._checkpoint = run, measure_test, checkpoint
        self._training, self._environment = None, {}
        self._folder = folder if folder is not None and folder.is_dir() else None
        self._seconds_between_checkpoints = seconds_between_checkpoints
        self._last_checkpoint_at = self._clock()
        if (torch := _torch_on_gpu()) is not None:
            torch.cuda.reset_peak_memory_stats()

    def advance(self, seconds: float, until: int | None = None) -> Advance:
        """Train whole epochs until the time is over, an epoch is reached, or the training ends.

        It also returns after an epoch whose checkpoint is due and that it does not write itself.

        Args:
            seconds: no further epoch begins after this time; at least one epoch is trained.
            until: last epoch to train in this call.
        """
        epochs: list[str] = []
        due = False
        try:
            due = self._train(epochs, self._clock() + seconds, until)
            outcome = self._outcome()
        except DivergedRun as error:
            outcome = self._failed(f"diverged: {error}")
        except Exception as error:
            outcome = self._failed(f"{type(error).__name__}: {error}", traceback.format_exc())
        if outcome is not None:
            self.stop()
        return Advance(epochs, outcome, json.dumps(self._environment), due)

    def checkpoint(self) -> bytes:
        """Return the packed checkpoint of the current training, which is between two epochs."""
        from ham.training.checkpoints import pack_checkpoint  # lazy: imports torch

        assert self._training is not None
        checkpoint = pack_checkpoint(self._training.state_dict())
        self._last_checkpoint_at = self._clock()
        return checkpoint

    def stop(self) -> None:
        """Forget the current training."""
        self._training = self._checkpoint = None

    def _train(self, epochs: list[str], deadline: float, until: int | None) -> bool:
        """Train epochs; return whether a checkpoint is due that was not written here."""
        training = self._training = self._training or self._build(epochs)
        self._environment = training.environment
        while not training.finished:
            began = self._clock()
            epochs.append(json.dumps(vars(training.run_epoch())))
            if training.finished:
                break
            if self._leaves_checkpoint_to_caller(self._clock() - began):
                return True
            reached = until is not None and training.epochs_done >= until
            if reached or self._clock() >= deadline:
                break
        return False

    def _leaves_checkpoint_to_caller(self, epoch_seconds: float) -> bool:
        """Write a due checkpoint if the epoch was short; return whether it is still due."""
        if self._clock() - self._last_checkpoint_at < self._seconds_between_checkpoints:
            return False
        return epoch_seconds >= _SHORT_EPOCH_SECONDS or not self._has_written_checkpoint()

    def _has_written_checkpoint(self) -> bool:
        if self._folder is None or self._training is None:
            return False
        try:
            checkpoint = TrainingCheckpoint(self._training.epochs_done, self.checkpoint())
            write_checkpoint(self._folder, checkpoint)
        except Exception:  # for example a full disk: the caller tries too, and reports its error
            return False
        return True

    def _build(self, epochs: list[str]) -> EpochByEpoch:
        """Make the training; the epochs in its checkpoint are reported again."""
        run = RunConfig.from_json(self._run)
        return self._restored(run, epochs) or self._make_training(run)

    def _restored(self, run: RunConfig, epochs: list[str]) -> EpochByEpoch | None:
        if self._checkpoint is None:
            return None
        try:
            state = self._unpack(self._checkpoint)
            training = self._make_training(run)
            training.load_state_dict(state)
        except Exception:  # truncated, or written by other code
            traceback.print_exc()
            return None
        epochs.extend(json.dumps(epoch) for epoch in state["curve"])
        return training

    def _unpack(self, checkpoint: bytes) -> dict[str, Any]:
        from ham.training.checkpoints import unpack_checkpoint  # lazy: imports torch

        return unpack_checkpoint(checkpoint)

    def _failed(self, reason: str, trace: str | None = None) -> str:
        return json.dumps({"error": reason, "traceback": trace, "environment": self._environment})

    def _outcome(self) -> str | None:
        training = self._training
        if training is None or not training.finished:
            return None
        facts = facts_of(training.finish(measure_test=self._measure_test))
        cost = MeasuredCost(self._gpus * facts["seconds"], peak_memory_bytes())
        facts["measures"]["cost"] = asdict(cost)
        return json.dumps(facts)


def facts_of(result: Any) -> dict[str, Any]:
    """Return what is stored of a finished training, as the fields of an Outcome."""
    facts: dict[str, Any] = result.to_json()
    facts["measures"]["sparsity"] = facts.pop("sparsity", None)
    return facts


def peak_memory_bytes() -> int:
    """Return the peak memory in bytes: of this training on its GPU, or else of this process."""
    if (torch := _torch_on_gpu()) is not None:
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_PER_MAXRSS


def _torch_on_gpu() -> Any:
    """Return torch if it is loaded already and finds a GPU, else None."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_available() else None


def _training(gpus: float, run: RunConfig) -> EpochByEpoch:
    from ham.training.data_parallel import training_on  # lazy: imports torch

    return training_on(max(1, int(gpus)), run)
