"""Weights that are stored as they are and shrunk when they are used: by a threshold, by a gate."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ham.sparsifiers.common.mask_freezing import MaskFreezingSparsifier
from ham.sparsifiers.common.prunable import stored_tensors
from ham.sparsifiers.common.reparametrized import parametrization_of


class Shrinkage(nn.Module):
    """The parametrization ``w -> shrink(w)`` until it is lifted, the identity from then on."""

    def __init__(self) -> None:
        super().__init__()
        self.lifted = False

    def shrink(self, weight: Tensor, shift: float = 0.0) -> Tensor:
        """Return the weight that the model computes with.

        Args:
            weight: as stored.
            shift: <= 0, by how much scores may fall short and still pass.
        """
        raise NotImplementedError

    def forward(self, weight: Tensor) -> Tensor:
        """Shrink, unless that is over."""
        return weight if self.lifted else self.shrink(weight)


class ShrinkingSparsifier(MaskFreezingSparsifier):
    """Learns how far to shrink; on settling, the shrunken weights take the place of the stored.

    A score above zero means that the method lets the weight through. Where it lets more through
    than the target, settling changes the dropped weights only. Where it lets fewer through, all
    scores are raised by the one amount at which the target is met, so that no kept weight is
    left shut, and a network that was shut altogether trains again.

    From then on training is that of plain weights under a mask. HAM acts on the stored weights
    all along.
    """

    @torch.no_grad()
    def settle(self) -> None:
        """Fix the masks and store the shrunken weights."""
        scores = self.scores()
        super().settle()
        lowest = [float(s[self.masks[n]].min()) for n, s in scores.items() if self.masks[n].any()]
        for layer in self.layers.values():
            weight = stored_tensors(layer)[0]
            weight.copy_(parametrization_of(layer).shrink(weight, min([*lowest, 0.0])))
        self.masks.apply_()
        self.lift()

    def lift(self) -> None:
        """Use the stored weights as they are."""
        for layer in self.layers.values():
            parametrization_of(layer).lifted = True

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        if self.settled:
            self.lift()
