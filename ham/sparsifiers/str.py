"""STR: soft threshold re-parameterization with one learned threshold per layer.

Reference: Kusupati et al., "Soft Threshold Weight Reparameterization for Learnable Sparsity",
ICML 2020, https://arxiv.org/abs/2002.03231, equations (2) to (5).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ham.errors import InvalidConfig
from ham.sparsifiers.common.protocol import ParamGroup, Presets
from ham.sparsifiers.common.prunable import stored_tensors
from ham.sparsifiers.common.regrowth import zero_optimizer_state
from ham.sparsifiers.common.reparametrized import parametrization_of, path_length
from ham.sparsifiers.common.shrinkage import Shrinkage, ShrinkingSparsifier
from ham.sparsifiers.common.topk import kept_count

# In the authors' 100 epochs of ImageNet the weight decay alone takes s from -3200 to -2, where
# sigmoid(s) exceeds almost any weight, in 32 epochs at the peak learning rate.
SHUT = -2.0
SHUT_AT = 0.32
CHECKS = 1000


class SoftThreshold(Shrinkage):
    """The parametrization ``w -> sign(w) relu(|w| - sigmoid(s))``.

    Args:
        weight: gives device and type.
        threshold: s at the start; a parameter of shape (1, 1), as the authors'.
    """

    def __init__(self, weight: Tensor, threshold: float) -> None:
        super().__init__()
        self.threshold = nn.Parameter(weight.detach().new_full((1, 1), threshold))

    def margin(self, weight: Tensor) -> Tensor:
        """Return by how much each magnitude exceeds the threshold."""
        return weight.abs() - self.threshold.sigmoid()

    def shrink(self, weight: Tensor, shift: float = 0.0) -> Tensor:
        """Shrink every magnitude by the threshold plus ``shift``, those below it to zero."""
        if shift == 0:
            return weight.sign() * self.margin(weight).relu()
        return weight.sign() * torch.minimum((self.margin(weight) - shift).relu(), weight.abs())


class STR(ShrinkingSparsifier):
    """Learn a soft threshold per layer, together with the weights.

    At first ``sigmoid(s)`` and its gradient are zero, and weight decay alone pulls s up; from
    about -20 on the loss takes part. Learning rate, decay and length set the sparsity together;
    here the pull ends where the target is met. On settling, the weights whose magnitude exceeds
    their layer's threshold by most are kept. Where fewer than the target exceed it, all
    thresholds are lowered by one amount until as many do.

    HAM acts on the weights, not on the thresholds. A weight below its threshold has no gradient:
    there only HAM's beta and weight decay move it, both towards zero.

    Args:
        threshold: s at the start, the same in each layer. The default leaves out the time in
            which the published -3200 (and -200 on CIFAR) sleep: s moves by a share of itself,
            so in a short training it would pass the range that matters within a step or two.
        threshold_decay: weight decay of the thresholds, >= 0. By default such that an undriven s
            is at -2 after 32 % of the steps, as in the authors' training on ImageNet.
        stop_at_target: end the decay of thresholds, and forget their momentum, as soon as the
            target is met, and resume it where the loss lowers them again. Otherwise the decay
            alone decides where they end; what is right for a long training shuts a short one.
        ham_on_thresholds: let HAM act on thresholds too, as the rule "two or more dimensions" of
            its authors' wrapper would on STR's code. Whether the paper did so is UNVERIFIED.
        **common: see :class:`~ham.sparsifiers.common.mask_freezing.MaskFreezingSparsifier`.

    Deviations: the authors try several decays until the sparsity is about right. Here the decay
        stops at the target, and at ``settle_at`` the sparsity is made exact.
        Their decay is the same for thresholds and weights; here weights have the recipe's.
    """

    presets: ClassVar[Presets] = {
        # ResNet-50 at 90.23 %: rate 0.256, momentum 0.875, batch 256, 100 epochs.
        "imagenet": {"threshold": -3200.0, "threshold_decay": 2.251757813e-5},
        "cifar": {"threshold": -200.0},  # the start in the code of HAM's authors
    }

    def __init__(
        self,
        sparsity: float,
        *,
        threshold: float = -20.0,
        threshold_decay: float | None = None,
        stop_at_target: bool = True,
        ham_on_thresholds: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(sparsity, **common)
        if threshold_decay is None and not threshold < SHUT:
            raise InvalidConfig("threshold", threshold, f"< {SHUT:g}, or give threshold_decay")
        if threshold_decay is not None and not threshold_decay >= 0:
            raise InvalidConfig("threshold_decay", threshold_decay, "it must be >= 0")
        self.threshold = threshold
        self.threshold_decay = threshold_decay
        self.stop_at_target = stop_at_target
        self.ham_on_thresholds = ham_on_thresholds
        self.check_interval = max(1, self.total_steps // CHECKS)

    def parametrization(self, weight: Tensor) -> nn.Module:
        """Return a soft threshold."""
        return SoftThreshold(weight, self.threshold)

    def auxiliary_options(self) -> ParamGroup:
        """Return what makes HAM skip the thresholds, unless it was asked not to."""
        return {} if self.ham_on_thresholds else super().auxiliary_options()

    def bind(self, optimizer: Optimizer) -> None:
        """Set the decay of the thresholds; see the base class."""
        super().bind(optimizer)
        for group in self.auxiliary_groups():
            self._decay = self.threshold_decay
            if self._decay is None:
                by_then = SHUT_AT * path_length(group, self.total_steps)
                self._decay = math.log(self.threshold / SHUT) / by_then
            group["weight_decay"] = self._decay

    def after_step(self, step: int) -> None:
        """Mask the weights, settle in time, and stop the pull where the target is met."""
        super().after_step(step)
        if self.stop_at_target and not self.settled and step % self.check_interval == 0:
            self.regulate()

    @torch.no_grad()
    def regulate(self) -> None:
        """Pull the thresholds up while fewer weights than the target are below them."""
        size = sum(layer.weight.numel() for layer in self.layers.values())
        pulling = size - self.emerged_zeros() > kept_count(size, self.sparsity)
        for group in self.auxiliary_groups():
            if group["weight_decay"] and not pulling:
                for threshold in group["params"]:
                    everywhere = torch.ones_like(threshold, dtype=torch.bool)
                    zero_optimizer_state(self.optimizer, threshold, everywhere)
            group["weight_decay"] = self._decay if pulling else 0.0

    @torch.no_grad()
    def scores(self) -> dict[str, Tensor]:
        """Score by how far the magnitude exceeds the layer's threshold; below it, negative."""
        return {
            name: parametrization_of(layer).margin(stored_tensors(layer)[0])
            for name, layer in self.layers.items()
        }

    def emerged_zeros(self) -> int:
        """Count the weights at or below their threshold."""
        return sum(int((score <= 0).sum()) for score in self.scores().values())
