"""A process that trains one run after another: torch and data stay loaded between them.

Workers live in the pool (:mod:`service.workers.cluster.worker_pool`) and know nothing of Ray Tune,
whose import alone takes seconds. Records travel as JSON text, states as bytes. To pass a state to
Tune takes longer than many an epoch, so a worker keeps those of short epochs by itself.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import traceback
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from ham.config import RunConfig
from ham.errors import DivergedRun
from ham.results import EpochMetrics
from service.workers.cluster.checkpoint_files import State, write_state

_BYTES_PER_MAXRSS = 1 if sys.platform == "darwin" else 1024
_SHORT_EPOCH_SECONDS = 1.0


class Advance(NamedTuple):
    """What came of a while of training.

    Attributes:
        epochs: the epochs trained, as JSON.
        outcome: how the training ended, as JSON; None while it goes on.
        environment: where it is trained, as JSON; empty where it could not even be built.
        state_is_due: the state of the last epoch is to be kept, and the worker has not done so.
    """

    epochs: list[str]
    outcome: str | None
    environment: str
    state_is_due: bool = False


class EpochByEpoch(Protocol):
    """The part of :class:`ham.training.Training` that a worker uses."""

    @property
    def environment(self) -> dict[str, Any]:
        """Where it is trained, ready for JSON."""

    @property
    def epochs_done(self) -> int:
        """Epochs trained so far."""

    @property
    def finished(self) -> bool:
        """True once all are trained."""

    def run_epoch(self) -> EpochMetrics:
        """Train one epoch and return its metrics."""

    def finish(self, *, measure_test: bool) -> Any:
        """Return the result, which has ``to_json``."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a bit-equal continuation needs."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore it."""


class Trainer:
    """Trains what it is told to; an error of the training is an outcome, with its reason.

    So whatever comes out of a call as an exception is a lost worker, the one cause worth a retry.

    Args:
        make_training: makes a training from its config; by default on all GPUs of this process.
        gpus: GPUs that belong to this process.
    """

    def __init__(
        self, make_training: Callable[[RunConfig], EpochByEpoch] | None = None, gpus: float = 0
    ) -> None:
        self._make_training = make_training or partial(_training, gpus)
        self._needs_torch = make_training is None
        self._gpus = gpus
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
        state: bytes | None = None,
        folder: Path | None = None,
        seconds_between_states: float = math.inf,
    ) -> None:
        """Take up a run; it is built when it first advances.

        Args:
            run: its config, ready for JSON.
            measure_test: whether test data is measured at its end.
            state: what it goes on from; the start where None.
            folder: for states of short epochs; others keep them where this machine lacks it.
            seconds_between_states: 0 keeps the state of every epoch.
        """
        self._run, self._measure_test, self._state = run, measure_test, state
        self._training, self._environment = None, {}
        self._folder = folder if folder is not None and folder.is_dir() else None
        self._seconds_between_states = seconds_between_states
        self._state_kept_at = perf_counter()
        if (torch := _torch_on_gpu()) is not None:
            torch.cuda.reset_peak_memory_stats()

    def advance(self, seconds: float, until: int | None = None) -> Advance:
        """Train whole epochs until the time is over, an epoch is reached, or the end.

        It returns before that where a state is due that it cannot keep itself.

        Args:
            seconds: no further epoch begins after so long; at least one is trained.
            until: last epoch to train for now.
        """
        epochs: list[str] = []
        due = False
        try:
            due = self._train(epochs, perf_counter() + seconds, until)
            outcome = self._outcome()
        except DivergedRun as error:
            outcome = self._failed(f"diverged: {error}")
        except Exception as error:
            outcome = self._failed(f"{type(error).__name__}: {error}", traceback.format_exc())
        if outcome is not None:
            self.stop()
        return Advance(epochs, outcome, json.dumps(self._environment), due)

    def state(self) -> bytes:
        """Return the state of the training under way, between two epochs, for somebody to keep."""
        from ham.training.checkpoints import pack_checkpoint  # lazy: imports torch

        assert self._training is not None
        state = pack_checkpoint(self._training.state_dict())
        self._state_kept_at = perf_counter()
        return state

    def stop(self) -> None:
        """Forget the training under way."""
        self._training = self._state = None

    def _train(self, epochs: list[str], deadline: float, until: int | None) -> bool:
        """Train for a while; return whether a state is due that was not kept here."""
        training = self._training = self._training or self._build(epochs)
        self._environment = training.environment
        while not training.finished:
            began = perf_counter()
            epochs.append(json.dumps(vars(training.run_epoch())))
            if training.finished:
                break
            if self._leaves_state(perf_counter() - began):
                return True
            reached = until is not None and training.epochs_done >= until
            if reached or perf_counter() >= deadline:
                break
        return False

    def _leaves_state(self, epoch_seconds: float) -> bool:
        """Keep the state if it is due and the epoch was short; return whether others are to."""
        if perf_counter() - self._state_kept_at < self._seconds_between_states:
            return False
        return epoch_seconds >= _SHORT_EPOCH_SECONDS or not self._has_kept_state()

    def _has_kept_state(self) -> bool:
        if self._folder is None or self._training is None:
            return False
        try:
            write_state(self._folder, State(self._training.epochs_done, self.state()))
        except Exception:  # the disk is full, say: who leased this worker tries too, and tells
            return False
        return True

    def _build(self, epochs: list[str]) -> EpochByEpoch:
        """Make the training; epochs that a state brings with it are reported again."""
        run = RunConfig.from_json(self._run)
        return self._restored(run, epochs) or self._make_training(run)

    def _restored(self, run: RunConfig, epochs: list[str]) -> EpochByEpoch | None:
        if self._state is None:
            return None
        try:
            state = self._read(self._state)
            training = self._make_training(run)
            training.load_state_dict(state)
        except Exception:  # cut off while it was written, or of other code
            traceback.print_exc()
            return None
        epochs.extend(json.dumps(epoch) for epoch in state["curve"])
        return training

    def _read(self, state: bytes) -> dict[str, Any]:
        from ham.training.checkpoints import unpack_checkpoint  # lazy: imports torch

        return unpack_checkpoint(state)

    def _failed(self, reason: str, trace: str | None = None) -> str:
        return json.dumps({"error": reason, "traceback": trace, "environment": self._environment})

    def _outcome(self) -> str | None:
        training = self._training
        if training is None or not training.finished:
            return None
        facts = facts_of(training.finish(measure_test=self._measure_test))
        facts["measures"]["cost"] = {
            "gpu_seconds": self._gpus * facts["seconds"],
            "peak_memory_bytes": peak_memory_bytes(),
        }
        return json.dumps(facts)


def facts_of(result: Any) -> dict[str, Any]:
    """Return what is stored of a finished training, in the shape of an Outcome."""
    facts: dict[str, Any] = result.to_json()
    facts["measures"]["sparsity"] = facts.pop("sparsity", None)
    return facts


def peak_memory_bytes() -> int:
    """Return the most memory held: by this training on its GPU, else by this process in RAM."""
    if (torch := _torch_on_gpu()) is not None:
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_PER_MAXRSS


def _torch_on_gpu() -> Any:
    """Return torch where it is loaded and finds a GPU; nothing is imported for the question."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_available() else None


def _training(gpus: float, run: RunConfig) -> EpochByEpoch:
    from ham.training.data_parallel import training_on  # lazy: imports torch

    return training_on(max(1, int(gpus)), run)
