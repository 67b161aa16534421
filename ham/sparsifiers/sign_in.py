"""Sign-In: two factors per weight, which help weights under a fixed mask to change sign.

Reference: Gadhikar, Jacobs, Zhou and Burkholz, "Sign-In to the Lottery: Reparameterizing Sparse
Training From Scratch", NeurIPS 2025, https://arxiv.org/abs/2504.12801.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ham.catalog import SPARSIFIERS
from ham.errors import InvalidConfig
from ham.sparsifiers.common.factors import Product, factorize
from ham.sparsifiers.common.optimizer_state import zero_optimizer_state
from ham.sparsifiers.common.protocol import Batch, Loss
from ham.sparsifiers.common.prunable import stored_tensors
from ham.sparsifiers.common.reparametrized import ReparametrizedSparsifier

DEFAULT_RESETS = 20


class SignIn(ReparametrizedSparsifier):
    """Train ``theta = m * w`` under a fixed mask and rebalance the factors at intervals.

    A rebalancing restores ``m^2 - w^2 = scale`` at unchanged theta. Near zero m is then about
    ``sqrt(scale)``, so a weight changes sign as easily as at the start.

    Args:
        mask: registry name of the method at initialization that chooses the mask; or the mask
            itself: for every prunable weight, by name, a tensor of the weight's shape that is
            zero where the weight is dropped. ``state_dict()`` of a sparse model is such a mask.
            Its sparsity must be the target, to within one weight per layer.
        mask_options: options of the method that chooses the mask.
        reset_interval: optimizer steps between rebalancings, >= 1. The default gives 20
            rebalancings over the training. The paper's number of epochs is UNVERIFIED.
        reset_optimizer: clear the optimizer state of the factors at a rebalancing, since it
            belongs to the factors before. UNVERIFIED for the published rows.
        scale: beta of the paper, > 0.
        **common: see :class:`~ham.sparsifiers.common.MaskedSparsifier`.

    Deviations: no code is public. Only prunable weights are factorized (an assumption), and both
        factors have the recipe's weight decay. The variant whose masks change while the factors
        train is left out; the final mask of AC/DC or RigL can be given as ``mask``.
    """

    def __init__(
        self,
        sparsity: float,
        *,
        mask: str | Mapping[str, Tensor] = "random",
        mask_options: Mapping[str, Any] | None = None,
        reset_interval: int | None = None,
        reset_optimizer: bool = True,
        scale: float = 1.0,
        **common: Any,
    ) -> None:
        super().__init__(sparsity, **common)
        if isinstance(mask, str) and mask not in mask_methods():
            raise InvalidConfig("mask", mask, f"allowed: {', '.join(mask_methods())}, or tensors")
        if reset_interval is not None and reset_interval < 1:
            raise InvalidConfig("reset_interval", reset_interval, "it must be >= 1 step")
        if not scale > 0:
            raise InvalidConfig("scale", scale, "it must be > 0")
        self.mask = mask
        self.mask_options = dict(mask_options or {})
        self.reset_interval = reset_interval or max(1, self.total_steps // DEFAULT_RESETS)
        self.reset_optimizer = reset_optimizer
        self.scale = scale

    def choose_masks(self, model: nn.Module, batches: Iterable[Batch], loss: Loss) -> None:
        """Set the given mask, or the mask that the named method chooses.

        Raises:
            InvalidConfig: the given mask does not fit the model or the sparsity.
        """
        if isinstance(self.mask, str):
            self._set_chosen_mask(self.mask, model, batches, loss)
        else:
            self._set_given_mask(self.mask)

    def _set_given_mask(self, mask: Mapping[str, Tensor]) -> None:
        for name, weight in self.masks.weights.items():
            if name not in mask or mask[name].shape != weight.shape:
                found = tuple(mask[name].shape) if name in mask else "missing"
                raise InvalidConfig(f"mask[{name!r}]", found, f"its shape: {tuple(weight.shape)}")
            self.masks.set(name, mask[name].to(weight.device) != 0)
        size = sum(weight.numel() for weight in self.masks.weights.values())
        kept = sum(self.masks.kept().values())
        if abs(kept - (1 - self.sparsity) * size) > len(self.masks.weights):
            found = f"the mask keeps {kept} of {size}: {1 - kept / size:.6g}"
            raise InvalidConfig("sparsity", self.sparsity, found)

    def _set_chosen_mask(
        self, method: str, model: nn.Module, batches: Iterable[Batch], loss: Loss
    ) -> None:
        seed = int(torch.randint(2**62, (), generator=self.generator))
        chooser = SPARSIFIERS.get(method).load()(
            self.sparsity,
            total_steps=self.total_steps,
            steps_per_epoch=self.steps_per_epoch,
            seed=seed,
            **{"dense_layers": self.dense_layers, **self.mask_options},
        )
        chooser.attach(model, batches, loss)
        for name in self.masks:
            self.masks.set(name, chooser.masks[name])

    def parametrization(self, weight: Tensor) -> nn.Module:
        """Return a product of factors with ``m^2 - w^2 = scale``."""
        return Product(self.scale)

    def after_step(self, step: int) -> None:
        """Mask the weights, and rebalance the factors every ``reset_interval`` steps."""
        super().after_step(step)
        if step % self.reset_interval == 0:
            self.rebalance()

    @torch.no_grad()
    def rebalance(self) -> None:
        """Set ``m^2 - w^2 = scale`` at unchanged products; a dropped weight gets m > 0, w = 0."""
        for layer in self.layers.values():
            factors = stored_tensors(layer)
            for factor, value in zip(factors, factorize(layer.weight, self.scale), strict=True):
                factor.copy_(value)
                if self.reset_optimizer:
                    everywhere = torch.ones_like(factor, dtype=torch.bool)
                    zero_optimizer_state(self.optimizer, factor, everywhere)


def mask_methods() -> list[str]:
    """Return the names of the methods at initialization whose masks Sign-In can train."""
    return [
        spec.name for spec in SPARSIFIERS if spec.family == "at initialization" and spec.takes_ham
    ]
