"""One mask per prunable weight, and the act of holding weights at exactly zero.

Zeros are hard: the stored weight itself is zero where its mask is False, so that the saved model
is sparse without any further step, and so that HAM, which maps zero to zero, leaves it so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor


class MaskSet:
    """Masks of named weights; every weight is kept until :meth:`set` says otherwise.

    Masks are held in the weights' own type, since one fused multiplication of floats is five
    times cheaper than one by booleans, and it runs twice a step.

    Args:
        weights: by name; the set refers to these parameters and never copies them.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.weights = dict(weights)
        self._factors = {
            name: torch.ones_like(weight, requires_grad=False)
            for name, weight in self.weights.items()
        }
        self._kept = {name: weight.numel() for name, weight in self.weights.items()}
        self._explored: dict[str, Tensor] = {}
        self._packed: dict[str, dict[str, Tensor]] = {"kept": {}, "explored": {}}

    def __getitem__(self, name: str) -> Tensor:
        """Return the boolean mask of a weight, True where it is kept."""
        return self._factors[name] != 0

    def __iter__(self) -> Iterator[str]:
        return iter(self.weights)

    def set(self, name: str, mask: Tensor) -> None:
        """Replace the mask of one weight; the weight itself changes at the next :meth:`apply_`."""
        self._factors[name].copy_(mask)
        for packed in self._packed.values():
            packed.pop(name, None)
        self._kept[name] = int(self._factors[name].count_nonzero())
        if name in self._explored:
            self._explored[name] |= self[name]

    @torch.no_grad()
    def apply_(self) -> None:
        """Zero every weight that its mask drops."""
        torch._foreach_mul_(list(self.weights.values()), list(self._factors.values()))

    @torch.no_grad()
    def apply_to_gradients_(self) -> None:
        """Zero the gradient of every dropped weight; weights without gradient are skipped."""
        pairs = [
            (weight.grad, self._factors[name])
            for name, weight in self.weights.items()
            if weight.grad is not None
        ]
        if pairs:
            gradients, factors = zip(*pairs, strict=True)
            torch._foreach_mul_(gradients, factors)

    def kept(self) -> dict[str, int]:
        """Return how many weights each mask keeps."""
        return dict(self._kept)

    def start_exploring(self) -> None:
        """Begin to remember which weights have ever been kept."""
        self._explored = {name: self[name] for name in self}
        self._packed["explored"].clear()

    def explored(self) -> float:
        """Return the share of weights kept at any time since :meth:`start_exploring`, in [0, 1].

        Reference: Liu et al., "Do We Actually Need Dense Over-Parameterization?", ICML 2021,
            section 3.1 (the in-time over-parameterization rate R_s).
        """
        ever = sum(int(mask.count_nonzero()) for mask in self._explored.values())
        return ever / sum(mask.numel() for mask in self._explored.values())

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Return the masks and what they have explored, one bit per weight each.

        Masks change seldom, and states are taken after every epoch, so bits are not packed anew.
        """
        kept, explored = self._packed["kept"], self._packed["explored"]
        kept.update({name: _pack(self[name]) for name in self if name not in kept})
        explored.update({n: _pack(m) for n, m in self._explored.items() if n not in explored})
        return {"kept": dict(kept), "explored": dict(explored)}

    def load_state_dict(self, state: Mapping[str, dict[str, Tensor]]) -> None:
        """Restore what :meth:`state_dict` gave."""
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
