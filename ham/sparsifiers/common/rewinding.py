"""Rewinding: the model of an early step, saved in order to be restored later."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ham.sparsifiers.common.masked import MaskedSparsifier
from ham.sparsifiers.common.protocol import Batch, Loss, ParamGroup


class Rewinding(MaskedSparsifier):
    """Save the model after a step, also in ``state_dict``; a mix-in, named before the base class.

    Attributes:
        rewind_step: step after which the model is saved; 0 for the initial model, None for a
            method that does not rewind.
    """

    rewind_step: int | None

    def __init__(self, sparsity: float, **common: Any) -> None:
        super().__init__(sparsity, **common)
        self.rewind_state: dict[str, Tensor] = {}

    def attach(
        self, model: nn.Module, batches: Iterable[Batch] = (), loss: Loss = cross_entropy
    ) -> list[ParamGroup]:
        """Prepare the model; save it if the initial model is the rewinding point."""
        groups = super().attach(model, batches, loss)
        self.model = model
        if self.rewind_step == 0:
            self._save_model()
        return groups

    def after_step(self, step: int) -> None:
        """Save the model at the rewinding point."""
        super().after_step(step)
        if step == self.rewind_step:
            self._save_model()

    def tensors_to_rewind(self) -> dict[str, Tensor]:
        """Return the tensors that are saved and rewound; by default the model's whole state."""
        return dict(self.model.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the base class and the saved model."""
        return super().state_dict() | {"rewind_state": self.rewind_state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        super().load_state_dict(state)
        saved = state["rewind_state"]
        self.rewind_state = {name: value.clone() for name, value in saved.items()}

    def _save_model(self) -> None:
        tensors = self.tensors_to_rewind()
        self.rewind_state = {name: value.detach().clone() for name, value in tensors.items()}
