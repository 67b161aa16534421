"""IMP: iterative magnitude pruning with rewinding of the weights.

Reference: Frankle and Carbin, "The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural
Networks", ICLR 2019, https://arxiv.org/abs/1803.03635, section 1; Frankle, Dziugaite, Roy and
Carbin, "Linear Mode Connectivity and the Lottery Ticket Hypothesis", ICML 2020,
https://arxiv.org/abs/1912.05671, for rewinding to an early step.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ham.errors import InvalidConfig
from ham.sparsifiers.common.iterative import IterativeSparsifier
from ham.sparsifiers.common.protocol import Presets
from ham.sparsifiers.common.rewinding import Rewinding
from ham.sparsifiers.common.topk import exact_floor


class IMP(Rewinding, IterativeSparsifier):
    """Before each further training, rewind every kept weight to its value at an early step.

    Norms and all other tensors of the model are rewound too. The optimizer state is new.

    Args:
        rewind_at: rewinding point, as a fraction of the steps of the first training, in [0, 1);
            0 for the initial weights.
        **common: see :class:`~ham.sparsifiers.common.iterative.IterativeSparsifier`.

    Deviations: a training after rewinding to an early step repeats the whole schedule and not
        only the rest of it, as the presets' authors do.
    """

    # Nelaturu et al. (TurboPrune): weights of epoch 10 of 90 (ImageNet) and of 150 (CIFAR).
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
        """Restore the saved model with dropped weights at zero."""
        self.model.load_state_dict(self.rewind_state)
        self.masks.apply_()
