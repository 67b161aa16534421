"""LRR: iterative magnitude pruning with rewinding of the learning rate.

Reference: Renda, Frankle and Carbin, "Comparing Rewinding and Fine-tuning in Neural Network
Pruning", ICLR 2020, https://arxiv.org/abs/2003.02389, section 2; Gadhikar and Burkholz, "Masks,
Signs, and Learning Rate Rewinding", ICLR 2024, https://arxiv.org/abs/2402.19262.
"""

from __future__ import annotations

from ham.sparsifiers.common.iterative import IterativePruner


class LRR(IterativePruner):
    """Each further training goes on from the weights as they are, norms included.

    Only the learning rate and the optimizer begin anew.

    Args: see :class:`~ham.sparsifiers.common.iterative.IterativePruner`.
    """

    def rewind(self) -> None:
        """Keep the weights; dropped ones become zero."""
        self.masks.apply_()
