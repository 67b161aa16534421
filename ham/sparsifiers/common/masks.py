"""One mask per prunable weight, applied to weights and gradients.

Zeros are hard: the stored weight itself is zero where its mask is False. The saved model is
therefore sparse without a further step, and HAM, which maps zero to zero, keeps it sparse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor


class MaskSet:
    """Masks of named weights; every weight is kept until :meth:`set` says otherwise.

    Masks are stored in the data type of their weights: one fused multiplication by floats is five
    times cheaper than one by booleans, and it runs twice per step.

    Args:
        weights: parameters by name; the set refers to them and never copies them.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.weights = dict(weights)
        self._float_masks = {
            name: torch.ones_like(weight, requires_grad=False)
            for name, weight in self.weights.items()
        }
        self._kept = {name: weight.numel() for name, weight in self.weights.items()}
        self._explored: dict[str, Tensor] = {}
        self._packed: dict[str, dict[str, Tensor]] = {"kept": {}, "explored": {}}

    def __getitem__(self, name: str) -> Tensor:
        """Return the boolean mask of a weight, True where it is kept."""
        return self._float_masks[name] != 0

    def __iter__(self) -> Iterator[str]:
        return iter(self.weights)

    def set(self, name: str, mask: Tensor) -> None:
        """Replace the mask of one weight; the weight itself changes at the next :meth:`apply_`."""
        self._float_masks[name].copy_(mask)
        for packed in self._packed.values():
            packed.pop(name, None)
        self._kept[name] = int(self._float_masks[name].count_nonzero())
        if name in self._explored:
            self._explored[name] |= self[name]

    @torch.no_grad()
    def apply_(self) -> None:
        """Zero every dropped weight."""
        torch._foreach_mul_(list(self.weights.values()), list(self._float_masks.values()))

    @torch.no_grad()
    def apply_to_gradients_(self) -> None:
        """Zero the gradient of every dropped weight; weights without gradient are skipped."""
        pairs = [
            (weight.grad, self._float_masks[name])
            for name, weight in self.weights.items()
            if weight.grad is not None
        ]
        if pairs:
            gradients, factors = zip(*pairs, strict=True)
            torch._foreach_mul_(gradients, factors)

    def kept(self) -> dict[str, int]:
        """Return the number of weights that each mask keeps."""
        return dict(self._kept)

    def start_exploration(self) -> None:
        """Start to record which weights have been kept at any time."""
        self._explored = {name: self[name] for name in self}
        self._packed["explored"].clear()

    def explored(self) -> float:
        """Return the share of weights kept at any time since :meth:`start_exploration`, in [0, 1].

        Reference: Liu et al., "Do We Actually Need Dense Over-Parameterization?", ICML 2021,
            section 3.1 (the in-time over-parameterization rate R_s).
        """
        ever = sum(int(mask.count_nonzero()) for mask in self._explored.values())
        return ever / sum(mask.numel() for mask in self._explored.values())

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Return the masks and the record of weights that were ever kept, one bit per weight each.

        Packed bits are cached, since masks change less often than states are saved.
        """
        kept, explored = self._packed["kept"], self._packed["explored"]
        kept.update({name: _pack(self[name]) for name in self if name not in kept})
        explored.update({n: _pack(m) for n, m in self._explored.items() if n not in explored})
        return {"kept": dict(kept), "explored": dict(explored)}

    def load_state_dict(self, state: Mapping[str, dict[str, Tensor]]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        for name, weight in self.weights.items():
            self.set(name, _unpack(state["kept"][name], weight.shape))
        self._explored = {
            name: _unpack(bits, self.weights[name].shape).to(self.weights[name].device)
            for name, bits in state["explored"].items()
        }


def _pack(mask: Tensor) -> Tensor:
    return torch.from_numpy(np.packbits(mask.cpu().numpy()))


def _unpack(bits: Tensor, shape: torch.Size) -> Tensor:
    flat = np.unpackbits(bits.cpu().numpy(), count=shape.numel())
    return torch.from_numpy(flat.astype(bool)).reshape(shape)
