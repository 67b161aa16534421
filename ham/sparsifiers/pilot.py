"""PILoT: two factors per weight under a penalty that adapts to the training accuracy.

Reference: Jacobs and Burkholz, "Mask in the Mirror: Implicit Sparsification", ICLR 2025,
https://arxiv.org/abs/2408.09966, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ham.errors import HamError, InvalidConfig
from ham.sparsifiers.common.factors import PenalizedFactors, Product
from ham.sparsifiers.common.protocol import Batch, Loss, ParamGroup, Presets

MAX_GROWTH = 10.0  # largest growth factor of the penalty over a training, by default
ACCURACY_BATCHES = 4


class PILoT(PenalizedFactors):
    """Train ``theta = m * w``, initially ``m^2 - w^2 = scale``, under ``alpha (m^2 + w^2)``.

    After each epoch k of T the penalty is multiplied by ``growth`` if the training accuracy did
    not fall, the L1 norm of the weights is at least ``norm_floor`` and ``k <= T/2``. Otherwise it
    is divided by ``growth``. The penalty moves the implicit bias from L2 to L1.

    Args:
        growth: delta of Algorithm 1, >= 1; 1 is the constant penalty of the first version of the
            paper. The default lets the penalty grow at most tenfold over half of the training.
            UNVERIFIED for the published rows.
        norm_floor: K of Algorithm 1, >= 0. UNVERIFIED for the published rows.
        scale: beta of the initialization, > 0; 1 as in the paper.
        **common: see :class:`~ham.sparsifiers.common.factors.PenalizedFactors`; ``penalty`` is
            2 alpha. The default has the total decay 5, as for spred. UNVERIFIED for the published
            rows.

    Deviations: the signs of the three comparisons are our reading of Algorithm 1. The training
        accuracy is measured on the first four batches given to ``attach``, in eval mode, so that
        no loop has to report it. At ``freeze_at`` the largest ``|m * w|`` are kept, as the first
        version of the paper does after training.
    """

    total_decay = 5.0
    # The first version of the paper, on networks: a constant alpha of 1e-4, 3e-4 or 1e-3.
    presets: ClassVar[Presets] = {"imagenet": {}, "cifar": {"penalty": 2e-4, "growth": 1.0}}

    def __init__(
        self,
        sparsity: float,
        *,
        growth: float | None = None,
        norm_floor: float = 0.0,
        scale: float = 1.0,
        **common: Any,
    ) -> None:
        super().__init__(sparsity, **common)
        if growth is not None and not growth >= 1:
            raise InvalidConfig("growth", growth, "it must be >= 1")
        if not norm_floor >= 0:
            raise InvalidConfig("norm_floor", norm_floor, "it must be >= 0")
        if not scale > 0:
            raise InvalidConfig("scale", scale, "it must be > 0")
        self.epochs = self.total_steps / self.steps_per_epoch
        self.growth = MAX_GROWTH ** (2 / max(self.epochs, 2)) if growth is None else growth
        self.norm_floor = norm_floor
        self.scale = scale
        self.accuracy = 0.0

    def parametrization(self, weight: Tensor) -> nn.Module:
        """Return a product of factors with ``m^2 - w^2 = scale``."""
        return Product(self.scale)

    def attach(
        self, model: nn.Module, batches: Iterable[Batch] = (), loss: Loss = cross_entropy
    ) -> list[ParamGroup]:
        """Split the weights into factors and store the batches for the training accuracy.

        Raises:
            HamError: the penalty adapts (``growth > 1``), but there are no batches.
        """
        self._model = model
        self._accuracy_data = list(islice(batches, ACCURACY_BATCHES)) if self.growth > 1 else []
        if self.growth > 1 and not self._accuracy_data:
            raise HamError(
                "PILoT needs the training accuracy: pass batches to attach(model, batches), or "
                "growth=1 for a constant penalty"
            )
        return super().attach(model, batches, loss)

    def after_step(self, step: int) -> None:
        """Mask the weights; adapt the penalty after each epoch until the masks are frozen."""
        super().after_step(step)
        if not self.masks_frozen and self.growth > 1 and step % self.steps_per_epoch == 0:
            self.adapt(step // self.steps_per_epoch)

    @torch.no_grad()
    def adapt(self, epoch: int) -> None:
        """Raise or lower the penalty after an epoch, counted from 1."""
        accuracy = self._training_accuracy()
        norm = sum(float(score.sum()) for score in self.scores().values())
        rising = accuracy >= self.accuracy and norm >= self.norm_floor
        factor = self.growth if rising and epoch <= self.epochs / 2 else 1 / self.growth
        self.accuracy = accuracy
        for group in self.auxiliary_groups():
            group["weight_decay"] *= factor

    def _training_accuracy(self) -> float:
        modes = [(module, module.training) for module in self._model.modules()]
        self._model.eval()
        hits = [self._model(x).argmax(dim=1) == labels for x, labels in self._accuracy_data]
        for module, training in modes:
            module.training = training
        return float(torch.cat(hits).float().mean())

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the base class and the last training accuracy."""
        return super().state_dict() | {"accuracy": self.accuracy}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        super().load_state_dict(state)
        self.accuracy = state["accuracy"]
