"""IMP: iterative magnitude pruning with rewinding of the weights.

Reference: Frankle and Carbin, "The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural
Networks", ICLR 2019, https://arxiv.org/abs/1803.03635, section 1; Frankle, Dziugaite, Roy and
Carbin, "Linear Mode Connectivity and the Lottery Ticket Hypothesis", ICML 2020,
https://arxiv.org/abs/1912.05671, for rewinding to an early step.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ham.errors import InvalidConfig
from ham.sparsifiers.common.iterative import IterativePruner
from ham.sparsifiers.common.protocol import Presets
from ham.sparsifiers.common.rewinding import Rewinding
from ham.sparsifiers.common.topk import exact_floor


class IMP(Rewinding, IterativePruner):
    """Before each further training, put every kept weight back to what it was early on.

    Norms and all other tensors of the model go back, too; the optimizer begins anew.

    Args:
        rewind_at: to which point of the first training weights go back, as a fraction of its
            steps, in [0, 1); 0 for the initial weights.
        **common: see :class:`~ham.sparsifiers.common.iterative.IterativePruner`.

    Deviations: a training after rewinding to an early step goes through the whole schedule again
        and not through what was left of it; so do the presets' authors.
    """

    # Nelaturu et al. (TurboPrune): weights of epoch 10 of 150 and of 90.
    presets: ClassVar[Presets] = {
        "imagenet": {"rewind_at": 10 / 90},
        "cifar": {"rewind_at": 10 / 150},
    }

    def __init__(self, sparsity: float, *, rewind_at: float = 0.0, **common: Any) -> None:
        super().__init__(sparsity, **common)
        if not 0 <= rewind_at < 1:
            raise InvalidConfig("rewind_at", rewind_at, "it must be in [0, 1)")
        self.rewind_step = exact_floor(rewind_at * self.total_steps / self.trainings)

    def rewind(self) -> None:
        """Put the model back to what it was, dropped weights at zero."""
        self.model.load_state_dict(self.early)
        self.masks.apply_()
