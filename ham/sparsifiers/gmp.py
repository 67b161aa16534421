"""GMP: gradual magnitude pruning along a cubic sparsity ramp.

Reference: Zhu and Gupta, "To Prune, or Not to Prune: Exploring the Efficacy of Pruning for Model
Compression", 2017, https://arxiv.org/abs/1710.01878.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ham.errors import InvalidConfig
from ham.sparsifiers.common.dynamic import default_interval
from ham.sparsifiers.common.masked import MaskedSparsifier
from ham.sparsifiers.common.protocol import Presets
from ham.sparsifiers.common.schedules import cubic_sparsity
from ham.sparsifiers.common.topk import exact_floor, kept_count, largest


class GMP(MaskedSparsifier):
    """Start dense and prune the smallest magnitudes in many small steps; no weight returns.

    Args:
        begin: fraction of all steps at which the ramp begins, in [0, 1).
        end: fraction of all steps at which the target is reached, in (begin, 1].
        update_interval: optimizer steps between prunings, >= 1. The default is 100; a ramp that
            would have fewer than 15 prunings gets a shorter interval, of at least 4 steps.
        scope: ``layer`` prunes each layer to the same sparsity, ``global`` ranks all weights
            together.
        **common: see :class:`~ham.sparsifiers.common.MaskedSparsifier`.

    Deviations: the ramp from 20 % to 80 % of the training is that of the implementation in
        Kusupati et al. (ICML 2020). That implementation ranks hidden weights anew at each forward
        pass; here masks hold between prunings, as in the paper.
    """

    presets: ClassVar[Presets] = {
        # Kusupati et al., ICML 2020: epochs 20 to 79 of 100, one pruning per epoch.
        "imagenet": {"begin": 0.2, "end": 0.8, "scope": "layer"},
        # Sundar and Dwaraknath, ReScience C 2021: steps 700 to 65,918 of 250 epochs.
        "cifar": {"begin": 0.008, "end": 0.75, "update_interval": 100, "scope": "global"},
    }

    def __init__(
        self,
        sparsity: float,
        *,
        begin: float = 0.2,
        end: float = 0.8,
        update_interval: int | None = None,
        scope: Literal["layer", "global"] = "layer",
        **common: Any,
    ) -> None:
        super().__init__(sparsity, **common)
        if not 0 <= begin < end <= 1:
            raise InvalidConfig("begin, end", (begin, end), "0 <= begin < end <= 1 must hold")
        if update_interval is not None and update_interval < 1:
            raise InvalidConfig("update_interval", update_interval, "it must be >= 1 step")
        if scope not in ("layer", "global"):
            raise InvalidConfig("scope", scope, "allowed: 'layer', 'global'")
        self.scope = scope
        self.end_step = max(1, exact_floor(end * self.total_steps))
        self.begin_step = min(exact_floor(begin * self.total_steps), self.end_step - 1)
        self.update_interval = update_interval or default_interval(self.end_step - self.begin_step)

    def is_update(self, step: int) -> bool:
        """Return whether this step prunes; the last pruning is at the end of the ramp."""
        if step == self.end_step:
            return True
        elapsed = step - self.begin_step
        return 0 < elapsed and step < self.end_step and elapsed % self.update_interval == 0

    def after_step(self, step: int) -> None:
        """Mask the weights, then prune at an update."""
        super().after_step(step)
        if self.is_update(step):
            self.prune(cubic_sparsity(step, self.begin_step, self.end_step, self.sparsity))

    @torch.no_grad()
    def prune(self, sparsity: float) -> None:
        """Prune to a sparsity; pruned weights stay pruned."""
        magnitudes = self.magnitudes()
        if self.scope == "global":
            self.keep_highest(magnitudes, sparsity)
        else:
            self._prune_each_layer(magnitudes, sparsity)
        for name in magnitudes:
            self.reset_weights(name, ~self.masks[name])

    def _prune_each_layer(self, magnitudes: dict[str, Tensor], sparsity: float) -> None:
        for name, magnitude in magnitudes.items():
            self.masks.set(name, largest(magnitude, kept_count(magnitude.numel(), sparsity)))
