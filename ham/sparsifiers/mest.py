"""MEST: elastic mutation of a sparse network under a soft memory bound.

Reference: Yuan et al., "MEST: Accurate and Fast Memory-Economic Sparse Training Framework on the
Edge", NeurIPS 2021, https://arxiv.org/abs/2110.14032.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ham.errors import InvalidConfig
from ham.sparsifiers.common.masked import MaskedSparsifier
from ham.sparsifiers.common.protocol import Presets
from ham.sparsifiers.common.topk import exact_floor, largest, random_subset

UPDATES = 32  # every 5 of 160 epochs
DECAY_AT = (90 / 160, 120 / 160)
MUTATION = (0.5, 0.25, 0.0)


class MEST(MaskedSparsifier):
    """Prune the least important weights and grow at random; later stages mutate less.

    Let n be the target number of weights of a layer and r the mutation of the stage. With
    ``EM&S`` each update prunes to n and grows to (1 + r) n, so the layer holds more weights while
    it trains. With ``EM`` each update prunes to (1 - r) n and grows to n. In the last stage r is
    0 and the masks are constant.

    Args:
        form: ``EM&S`` or ``EM``.
        mutation: r of each stage, in [0, 1]; the last one is 0. The default is that of the
            authors' CIFAR script: at 90 % sparsity a layer holds 5 %, 2.5 % and 0 % of its
            weights beyond the target.
        decay_at: starts of the second and later stages, as fractions of the training in (0, 1).
            The default is epochs 90 and 120 of 160.
        update_interval: optimizer steps between updates, >= 1. The default is 5 of 160 epochs.
        gradient_weight: lambda of the importance ``|w| + lambda |gradient|``, >= 0. The default 0
            is that of the authors' scripts.
        allocation: densities per layer: ``uniform`` as the authors use, ``erk`` or ``balanced``.
        **common: see :class:`~ham.sparsifiers.common.MaskedSparsifier`.
    """

    # The authors' CIFAR profiles prune only the 3x3 convolutions inside the blocks. UNVERIFIED
    # for ImageNet.
    presets: ClassVar[Presets] = {
        scale: {"dense_layers": ("first", "last", "shortcuts")} for scale in ("imagenet", "cifar")
    }

    def __init__(
        self,
        sparsity: float,
        *,
        form: Literal["EM&S", "EM"] = "EM&S",
        mutation: Sequence[float] = MUTATION,
        decay_at: Sequence[float] = DECAY_AT,
        update_interval: int | None = None,
        gradient_weight: float = 0.0,
        allocation: str = "uniform",
        **common: Any,
    ) -> None:
        super().__init__(sparsity, **common)
        if form not in ("EM&S", "EM"):
            raise InvalidConfig("form", form, "allowed: 'EM&S', 'EM'")
        _require_stages(mutation, decay_at)
        if update_interval is not None and update_interval < 1:
            raise InvalidConfig("update_interval", update_interval, "it must be >= 1 step")
        if not gradient_weight >= 0:
            raise InvalidConfig("gradient_weight", gradient_weight, "it must be >= 0")
        self.form = form
        self.mutation = tuple(mutation)
        self.decay_steps = [max(1, exact_floor(at * self.total_steps)) for at in decay_at]
        self.update_interval = update_interval or max(1, self.total_steps // UPDATES)
        self.gradient_weight = gradient_weight
        self.allocation = allocation

    def choose_masks(self, model: nn.Module, batches: Any, loss: Any) -> None:
        """Draw random masks of the size that the first stage grows to."""
        self.draw_random_masks(self.allocation)
        self._targets = self.masks.kept()
        for name in self.pruned_weights:
            self._grow(name, self.masks[name], self.bounds(name, 0)[1])

    def bounds(self, name: str, step: int) -> tuple[int, int]:
        """Return the numbers of weights that a layer is pruned to and grown to at a step."""
        target, size = self._targets[name], self.masks.weights[name].numel()
        mutated = exact_floor(target * self.mutation[sum(step >= at for at in self.decay_steps)])
        if self.form == "EM":
            return max(1, target - mutated), target
        return target, min(size, target + mutated)

    def is_update(self, step: int) -> bool:
        """Return whether this step updates the masks: at intervals and at the start of a stage."""
        in_mutation = step < self.decay_steps[-1] and step % self.update_interval == 0
        return in_mutation or step in self.decay_steps

    def after_step(self, step: int) -> None:
        """Mask the weights, then mutate at an update."""
        super().after_step(step)
        if self.is_update(step):
            self.mutate(step)

    @torch.no_grad()
    def mutate(self, step: int) -> None:
        """Prune and grow every layer; grown weights start at zero."""
        for name, weight in self.pruned_weights.items():
            low, high = self.bounds(name, step)
            importance = self._importance(weight).masked_fill(~self.masks[name], -1.0)
            kept = largest(importance, min(low, int(self.masks[name].count_nonzero())))
            self._grow(name, kept, high)
            self.reset_weights(name, ~kept)

    def _importance(self, weight: Tensor) -> Tensor:
        if self.gradient_weight == 0 or weight.grad is None:
            return weight.abs()
        return weight.abs() + self.gradient_weight * weight.grad.abs()

    def _grow(self, name: str, kept: Tensor, count: int) -> None:
        missing = count - int(kept.count_nonzero())
        self.masks.set(name, kept | random_subset(~kept, missing, self.generator))


def _require_stages(mutation: Sequence[float], decay_at: Sequence[float]) -> None:
    ordered = list(decay_at) == sorted(decay_at) and all(0 < at < 1 for at in decay_at)
    shares = all(0 <= share <= 1 for share in mutation) and list(mutation[-1:]) == [0.0]
    if not (decay_at and ordered and shares and len(mutation) == len(decay_at) + 1):
        raise InvalidConfig(
            "mutation, decay_at",
            (tuple(mutation), tuple(decay_at)),
            "decay_at must rise in (0, 1); mutation must hold one share in [0, 1] more than "
            "decay_at has entries, the last one 0",
        )
