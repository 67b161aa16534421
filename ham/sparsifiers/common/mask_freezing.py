"""Mask freezing: an exact target sparsity for methods whose sparsity emerges.

The sparsity of a penalty method emerges from the penalty and meets no target by itself. Methods
are compared at equal sparsity, so training has two phases:

1. Until ``freeze_at`` the method runs as its paper says.
2. Then the masks are frozen at the target sparsity, by the method's own score, and the rest of
   the training runs under these masks.

The report holds the sparsity that the method reached by itself as ``emerged``. In the papers a
person does the second step: they try several penalties, or prune the smallest weights and
fine-tune.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ham.errors import InvalidConfig
from ham.sparsifiers.common.reparametrized import ReparametrizedSparsifier
from ham.sparsifiers.common.topk import exact_floor


class MaskFreezingSparsifier(ReparametrizedSparsifier):
    """Let sparsity emerge, then freeze masks of exactly the target sparsity.

    Every weight counts as trained until the masks are frozen: no method saves work before.

    Args:
        freeze_at: fraction of all steps after which the masks are frozen, in (0, 1].
        **common: see :class:`~ham.sparsifiers.common.reparametrized.ReparametrizedSparsifier`.

    Attributes:
        masks_frozen: whether the masks are frozen.
        emerged: sparsity in [0, 1] that the method had reached by itself when its masks were
            frozen; None before.
    """

    def __init__(self, sparsity: float, *, freeze_at: float = 0.75, **common: Any) -> None:
        super().__init__(sparsity, **common)
        if not 0 < freeze_at <= 1:
            raise InvalidConfig("freeze_at", freeze_at, "it must be in (0, 1]")
        self.freeze_step = max(1, exact_floor(freeze_at * self.total_steps))
        self.masks_frozen = False

    def scores(self) -> dict[str, Tensor]:
        """Return a score per weight of every sparsified layer; the highest scores are kept."""
        raise NotImplementedError

    def emerged_zeros(self) -> int:
        """Return the number of weights that the method has dropped by itself so far."""
        raise NotImplementedError

    def after_step(self, step: int) -> None:
        """Mask the weights; at ``freeze_step`` freeze the masks."""
        super().after_step(step)
        if step == self.freeze_step:
            self.freeze_masks()
            for name in self.layers:
                self.reset_weights(name, ~self.masks[name])

    @torch.no_grad()
    def freeze_masks(self) -> None:
        """Freeze the masks at the target, by the method's own score over all layers together."""
        size = sum(layer.weight.numel() for layer in self.layers.values())
        if size:
            self.emerged = self.emerged_zeros() / size
            self.keep_highest(self.scores(), self.sparsity)
        self.masks_frozen = True
        self.masks.apply_()

    def finalize(self) -> None:
        """Fold every weight; freeze the masks first if the training ended before ``freeze_at``."""
        if not self.masks_frozen:
            self.freeze_masks()
        super().finalize()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the base class, the phase and the emerged sparsity."""
        own = {"masks_frozen": self.masks_frozen, "emerged": self.emerged}
        return super().state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        super().load_state_dict(state)
        self.masks_frozen, self.emerged = state["masks_frozen"], state["emerged"]
