"""Parametrizations that shrink a stored weight at every use, by a threshold or a gate."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ham.sparsifiers.common.mask_freezing import MaskFreezingSparsifier
from ham.sparsifiers.common.prunable import stored_tensors
from ham.sparsifiers.common.reparametrized import parametrization_of


class Shrinkage(nn.Module):
    """The parametrization ``w -> shrink(w)``; once disabled it is the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.disabled = False

    def shrink(self, weight: Tensor, shift: float = 0.0) -> Tensor:
        """Return the weight that the model computes with.

        Args:
            weight: the stored weight.
            shift: <= 0; a weight whose score is above ``shift`` passes.
        """
        raise NotImplementedError

    def forward(self, weight: Tensor) -> Tensor:
        """Return the shrunken weight, or the stored one if shrinking is disabled."""
        return weight if self.disabled else self.shrink(weight)


class ShrinkingSparsifier(MaskFreezingSparsifier):
    """Learn how far to shrink each weight; mask freezing stores the shrunken weights.

    A score above zero means that the method lets the weight pass. If more weights pass than the
    target keeps, mask freezing changes only the dropped weights. If fewer pass, all scores are
    raised by the one amount at which the target is met: no kept weight stays at zero, and a
    network in which no weight passed trains again.

    After mask freezing the training is that of plain weights under a mask. HAM acts on the stored
    weights throughout.
    """

    @torch.no_grad()
    def freeze_masks(self) -> None:
        """Freeze the masks and store the shrunken weights."""
        scores = self.scores()
        super().freeze_masks()
        lowest = [float(s[self.masks[n]].min()) for n, s in scores.items() if self.masks[n].any()]
        for layer in self.layers.values():
            weight = stored_tensors(layer)[0]
            weight.copy_(parametrization_of(layer).shrink(weight, min([*lowest, 0.0])))
        self.masks.apply_()
        self.disable_shrinkage()

    def disable_shrinkage(self) -> None:
        """Use the stored weights unchanged from now on."""
        for layer in self.layers.values():
            parametrization_of(layer).disabled = True

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        super().load_state_dict(state)
        if self.masks_frozen:
            self.disable_shrinkage()
