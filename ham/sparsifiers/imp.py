"""IMP: iterative magnitude pruning with rewinding of the weights.

Reference: Frankle and Carbin, "The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural
Networks", ICLR 2019, https://arxiv.org/abs/1803.03635, section 1; Frankle, Dziugaite, Roy and
Carbin, "Linear Mode Connectivity and the Lottery Ticket Hypothesis", ICML 2020,
https://arxiv.org/abs/1912.05671, for rewinding to an early step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ham.errors import InvalidConfig
from ham.sparsity.base import Batch, Loss, ParamGroup, Presets
from ham.sparsity.iterative import IterativePruner
from ham.sparsity.topk import exact_floor


class IMP(IterativePruner):
    """Before each further training, put every kept weight back to what it was early on.

    Norms and all other tensors of the model go back, too; the optimizer begins anew.

    Args:
        rewind_at: to which point of the first training weights go back, as a fraction of its
            steps, in [0, 1); 0 for the initial weights.
        **common: see :class:`~ham.sparsity.iterative.IterativePruner`.

    Deviations: a training after rewinding to an early step goes through the whole schedule again
        and not through what was left of it; so do the presets' authors.
    """

    # Nelaturu et al. (TurboPrune): weights of epoch 10 of 150 and of 90.
    presets: ClassVar[Presets] = {
        "imagenet": {"rewind_at": 10 / 90},
        "cifar": {"rewind_at": 10 / 150},
    }

    def __init__(self, sparsity: float, *, rewind_at: float = 0.0, **common: Any) -> None:
        super().__init__(sparsity, **common)
        if not 0 <= rewind_at < 1:
            raise InvalidConfig("rewind_at", rewind_at, "it must be in [0, 1)")
        self.rewind_step = exact_floor(rewind_at * self.total_steps / self.trainings)
        self._early: dict[str, Tensor] = {}

    def attach(
        self, model: nn.Module, batches: Iterable[Batch] = (), loss: Loss = cross_entropy
    ) -> list[ParamGroup]:
        """Take hold of the model, and remember it where that is the point to go back to."""
        groups = super().attach(model, batches, loss)
        self._model = model
        if self.rewind_step == 0:
            self._remember()
        return groups

    def after_step(self, step: int) -> None:
        """Mask the weights, and remember them at the point to go back to."""
        super().after_step(step)
        if step == self.rewind_step:
            self._remember()

    def rewind(self) -> None:
        """Put the model back to what it was, dropped weights at zero."""
        self._model.load_state_dict(self._early)
        self.masks.apply_()

    def _remember(self) -> None:
        self._early = {name: value.clone() for name, value in self._model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the early model, beside the state of the base class."""
        return super().state_dict() | {"early": self._early}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        self._early = {name: value.clone() for name, value in state["early"].items()}
