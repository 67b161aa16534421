"""Going back to an early point of the training, as lottery tickets do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ham.sparsifiers.common.masked import MaskedSparsifier
from ham.sparsifiers.common.protocol import Batch, Loss, ParamGroup


class Rewinding(MaskedSparsifier):
    """Remembers the model at a step, in its state too; to be named before the base class.

    Attributes:
        rewind_step: the step after which the model is remembered; 0 for the initial model, None
            where it is never gone back to.
    """

    rewind_step: int | None

    def __init__(self, sparsity: float, **common: Any) -> None:
        super().__init__(sparsity, **common)
        self.early: dict[str, Tensor] = {}

    def attach(
        self, model: nn.Module, batches: Iterable[Batch] = (), loss: Loss = cross_entropy
    ) -> list[ParamGroup]:
        """Take hold of the model, and remember it where that is the point to go back to."""
        groups = super().attach(model, batches, loss)
        self.model = model
        if self.rewind_step == 0:
            self._remember()
        return groups

    def after_step(self, step: int) -> None:
        """Remember the model at the point to go back to."""
        super().after_step(step)
        if step == self.rewind_step:
            self._remember()

    def remembered(self) -> dict[str, Tensor]:
        """Return the tensors that go back; all of the model's by default."""
        return dict(self.model.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return the early model, beside the state of the base class."""
        return super().state_dict() | {"early": self.early}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        self.early = {name: value.clone() for name, value in state["early"].items()}

    def _remember(self) -> None:
        self.early = {name: value.detach().clone() for name, value in self.remembered().items()}
