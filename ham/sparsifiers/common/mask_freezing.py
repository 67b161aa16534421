"""From a sparsity that emerges to one that is exact.

The sparsity of penalty methods emerges and meets no target by itself. So that methods can be
compared at equal sparsity, training has two phases. First the method runs as its paper says.
Then, at ``settle_at``, masks are fixed to the target by the method's own score, and the rest of
the training runs under them; what the method had reached by itself is reported as ``emerged``. In
the papers it is a person who does this: by trying penalties, or by cutting the smallest weights
and fine-tuning.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ham.errors import InvalidConfig
from ham.sparsifiers.common.reparametrized import ReparametrizedSparsifier
from ham.sparsifiers.common.topk import exact_floor


class MaskFreezingSparsifier(ReparametrizedSparsifier):
    """Lets sparsity emerge, then settles on masks of exactly the target sparsity.

    Until it settles, every weight counts as trained: none of the methods saves work before.

    Args:
        settle_at: fraction of all steps after which masks are fixed, in (0, 1].
        **common: see :class:`~ham.sparsifiers.common.reparametrized.ReparametrizedSparsifier`.

    Attributes:
        settled: whether the masks are fixed.
        emerged: sparsity that the method had reached by itself when it settled; None before.
    """

    def __init__(self, sparsity: float, *, settle_at: float = 0.75, **common: Any) -> None:
        super().__init__(sparsity, **common)
        if not 0 < settle_at <= 1:
            raise InvalidConfig("settle_at", settle_at, "it must be in (0, 1]")
        self.settle_step = max(1, exact_floor(settle_at * self.total_steps))
        self.settled = False

    def scores(self) -> dict[str, Tensor]:
        """Score the weights of every layer that takes part; the highest are kept."""
        raise NotImplementedError

    def emerged_zeros(self) -> int:
        """Return how many weights the method has dropped by itself so far."""
        raise NotImplementedError

    def after_step(self, step: int) -> None:
        """Mask the weights, then settle where the method's own phase ends."""
        super().after_step(step)
        if step == self.settle_step:
            self.settle()
            for name in self.layers:
                self.forget(name, ~self.masks[name])

    @torch.no_grad()
    def settle(self) -> None:
        """Fix the masks to the target by the method's own score, over all layers together."""
        size = sum(layer.weight.numel() for layer in self.layers.values())
        if size:
            self.emerged = self.emerged_zeros() / size
            self.keep_highest(self.scores(), self.sparsity)
        self.settled = True
        self.masks.apply_()

    def finalize(self) -> None:
        """Fold every weight; settle first where the training ended before."""
        if not self.settled:
            self.settle()
        super().finalize()

    def state_dict(self) -> dict[str, Any]:
        """Return the phase, beside the state of the base class."""
        return super().state_dict() | {"settled": self.settled, "emerged": self.emerged}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        self.settled, self.emerged = state["settled"], state["emerged"]
