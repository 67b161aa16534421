"""LRR: iterative magnitude pruning with rewinding of the learning rate.

Reference: Renda, Frankle and Carbin, "Comparing Rewinding and Fine-tuning in Neural Network
Pruning", ICLR 2020, https://arxiv.org/abs/2003.02389, section 2; Gadhikar and Burkholz, "Masks,
Signs, and Learning Rate Rewinding", ICLR 2024, https://arxiv.org/abs/2402.19262.
"""

from __future__ import annotations

from ham.sparsifiers.common.iterative import IterativeSparsifier


class LRR(IterativeSparsifier):
    """Continue each further training from the present weights, norms included.

    Only the learning rate and the optimizer state restart.

    Args: see :class:`~ham.sparsifiers.common.iterative.IterativeSparsifier`.
    """

    def rewind(self) -> None:
        """Keep the present weights; dropped weights become zero."""
        self.masks.apply_()
