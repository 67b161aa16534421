"""The protocol of a sparsifier, and the base class with the parts that all methods share.

A sparsifier acts through the step hooks of the optimizer, so the training loop stays as it is::

    sparsifier = RigL(0.9, total_steps=1000)
    groups = sparsifier.attach(model)          # masks the model
    optimizer = HAM(SGD(groups, lr=0.1))
    sparsifier.bind(optimizer)                 # from here on every optimizer.step() calls
    ...                                        #   before_step(t), the step, after_step(t)
    sparsifier.finalize()                      # the model is an ordinary sparse model

Bind a sparsifier to the optimizer that moves the weights: HAM, or the base optimizer in a
training without HAM. The hooks of that optimizer count the steps, so a step that AMP skips is not
counted. If the gradients come from a closure, ``before_step`` runs after its evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from ham.errors import HamError, InvalidConfig
from ham.sparsifiers.common.report import SparsityReport

Batch = tuple[Tensor, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
ParamGroup = dict[str, Any]
Presets = Mapping[str, Mapping[str, Any]]


class Sparsifier(Protocol):
    """The methods of a sparsifier that a training loop relies on."""

    def attach(
        self, model: nn.Module, batches: Iterable[Batch] = (), loss: Loss = cross_entropy
    ) -> list[ParamGroup]:
        """Prepare a model for sparse training; called once, before its optimizer is built.

        Args:
            model: on its device, with its initial weights.
            batches: (inputs, labels) of the training data, for methods that score weights on
                data; read lazily.
            loss: maps (outputs, labels) to a scalar, for the same methods.

        Returns:
            Parameter groups for the optimizer.
        """

    def bind(self, optimizer: Optimizer) -> None:
        """Register the step hooks on the optimizer that moves the weights."""

    def before_step(self, step: int) -> None:
        """Run before an optimizer step, with gradients ready; ``step`` counts from 1."""

    def after_step(self, step: int) -> None:
        """Run after an optimizer step has moved the weights; ``step`` counts from 1."""

    def finalize(self) -> None:
        """Turn the model into an ordinary one of plain tensors, dropped weights exactly zero."""

    def report(self) -> SparsityReport:
        """Return the target sparsity and the present counts, without side effects."""

    def kept(self) -> dict[str, int]:
        """Return the number of kept weights of each layer; cheap, called every step."""

    def explored(self) -> float:
        """Return the share of prunable weights that have been kept at any time, in [0, 1]."""

    def reads_dense_gradient(self, step: int) -> bool:
        """Return whether this step needs the gradient of dropped weights, which costs more."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a bit-equal resume needs beside model and optimizer."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned; call it after :meth:`attach`."""


class BaseSparsifier:
    """Arguments, step count, random generator and saved state of every sparsifier.

    Args:
        sparsity: fraction of zeros over all prunable weights, in [0, 1).
        total_steps: optimizer steps of the whole training, >= 1.
        steps_per_epoch: optimizer steps of one epoch, >= 1.
        seed: seed of the sparsifier's own generator; the global generator is never used.

    Attributes:
        presets: options of published trainings by scale, ``imagenet`` or ``cifar``. An option
            that a preset leaves out has its default.

    Raises:
        InvalidConfig: an argument is outside its range.
    """

    presets: ClassVar[Presets] = {"imagenet": {}, "cifar": {}}

    def __init__(
        self, sparsity: float, *, total_steps: int, steps_per_epoch: int = 1, seed: int = 0
    ) -> None:
        if not 0 <= sparsity < 1:
            raise InvalidConfig("sparsity", sparsity, "0 <= sparsity < 1 must hold")
        for field, value in (("total_steps", total_steps), ("steps_per_epoch", steps_per_epoch)):
            if value < 1:
                raise InvalidConfig(field, value, "it must be >= 1")
        self.sparsity = sparsity
        self.total_steps = total_steps
        self.steps_per_epoch = steps_per_epoch
        self.steps_taken = 0
        self.generator = torch.Generator().manual_seed(seed)
        self._optimizer: Optimizer | None = None

    @property
    def optimizer(self) -> Optimizer:
        """The bound optimizer."""
        if self._optimizer is None:
            raise HamError(f"{type(self).__name__} is not bound: call bind(optimizer) first")
        return self._optimizer

    def bind(self, optimizer: Optimizer) -> None:
        """Call :meth:`before_step` and :meth:`after_step` around every step of an optimizer.

        A closure given to ``optimizer.step`` may be evaluated once in a step.
        """
        self._optimizer = optimizer
        optimizer.register_step_pre_hook(self._before_step)
        optimizer.register_step_post_hook(lambda *_: self._count_step())

    def _before_step(
        self, _: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            self.before_step(self.steps_taken + 1)
            return None

        def with_gradients() -> Any:
            loss = closure()
            self.before_step(self.steps_taken + 1)
            return loss

        return args[:1], kwargs | {"closure": with_gradients}

    def reads_dense_gradient(self, step: int) -> bool:
        """Return False: no step needs the gradient of dropped weights."""
        return False

    def before_step(self, step: int) -> None:
        """Do nothing."""

    def after_step(self, step: int) -> None:
        """Do nothing."""

    def finalize(self) -> None:
        """Do nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Return the number of steps taken and the generator's state."""
        return {"steps_taken": self.steps_taken, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        self.steps_taken = state["steps_taken"]
        self.generator.set_state(state["generator"].cpu())

    def _count_step(self) -> None:
        self.steps_taken += 1
        self.after_step(self.steps_taken)
