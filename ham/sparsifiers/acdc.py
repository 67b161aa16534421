"""AC/DC: alternating compressed and decompressed training.

Reference: Peste, Iofinova, Vladu and Alistarh, "AC/DC: Alternating Compressed/DeCompressed
Training of Deep Neural Networks", NeurIPS 2021, https://arxiv.org/abs/2106.12379, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch

from ham.errors import InvalidConfig
from ham.sparsifiers.common.masked import MaskedSparsifier
from ham.sparsifiers.common.optimizer_state import zero_optimizer_state
from ham.sparsifiers.common.protocol import Presets
from ham.sparsifiers.common.topk import exact_floor, kept_count, largest

IMAGENET_COMPRESS = (0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.70, 0.85)
IMAGENET_DECOMPRESS = (0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75)
CIFAR_COMPRESS = (0.05, 0.25, 0.45, 0.65, 0.85)
CIFAR_DECOMPRESS = (0.15, 0.35, 0.55, 0.75)


class ACDC(MaskedSparsifier):
    """Alternate dense phases with sparse phases; the last phase is sparse.

    Compression keeps the largest magnitudes. The choice is made anew each time, so any weight may
    return. Decompression lets every weight train again, pruned weights from zero, and zeroes the
    optimizer state of all parameters.

    Args:
        compress_at: starts of the sparse phases, as fractions of the training in (0, 1). The
            default is the authors' ImageNet schedule: epochs 10, 20, ..., 70 and 85 of 100.
        decompress_at: starts of the dense phases, as fractions in (0, 1). The default is epochs
            15, 25, ..., 75 of 100.
        scope: ``global`` ranks all weights together. ``layer`` prunes each layer to the same
            sparsity and by default leaves the first and the last layer dense.
        **common: see :class:`~ham.sparsifiers.common.MaskedSparsifier`.

    Deviations: the masks keep exactly the target number of weights; the authors' strict threshold
        keeps one less. The phase changes right after the last step of the previous phase, so an
        accuracy measured there is that of the compressed model.
    """

    presets: ClassVar[Presets] = {
        "imagenet": {},
        "cifar": {"compress_at": CIFAR_COMPRESS, "decompress_at": CIFAR_DECOMPRESS},
    }

    def __init__(
        self,
        sparsity: float,
        *,
        compress_at: Sequence[float] = IMAGENET_COMPRESS,
        decompress_at: Sequence[float] = IMAGENET_DECOMPRESS,
        scope: Literal["global", "layer"] = "global",
        **common: Any,
    ) -> None:
        super().__init__(sparsity, **common)
        _require_alternating(compress_at, decompress_at)
        if scope not in ("global", "layer"):
            raise InvalidConfig("scope", scope, "allowed: 'global', 'layer'")
        self.scope = scope
        self.compress_steps = {self._step_at(at) for at in compress_at}
        self.decompress_steps = {self._step_at(at) for at in decompress_at}

    def _step_at(self, fraction: float) -> int:
        return max(1, exact_floor(fraction * self.total_steps))

    def published_dense_layers(self) -> tuple[str, ...]:
        """Return the first and the last layer if each layer is pruned by itself."""
        return ("first", "last") if self.scope == "layer" else ()

    def after_step(self, step: int) -> None:
        """Mask the weights, then compress or decompress at the end of a phase."""
        super().after_step(step)
        if step in self.compress_steps:
            self.compress()
        elif step in self.decompress_steps:
            self.decompress()

    @torch.no_grad()
    def compress(self) -> None:
        """Keep the largest magnitudes and zero the others."""
        magnitudes = {name: weight.abs() for name, weight in self.pruned_weights.items()}
        if self.scope == "global":
            self.keep_highest(magnitudes, self.sparsity)
        else:
            for name, magnitude in magnitudes.items():
                kept = kept_count(magnitude.numel(), self.sparsity)
                self.masks.set(name, largest(magnitude, kept))
        self.masks.apply_()

    def decompress(self) -> None:
        """Keep every weight and zero the optimizer state of all parameters, such as momentum."""
        for name, weight in self.masks.weights.items():
            self.masks.set(name, torch.ones_like(weight))
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                everywhere = torch.ones_like(parameter, dtype=torch.bool)
                zero_optimizer_state(self.optimizer, parameter, everywhere)


def _require_alternating(compress_at: Sequence[float], decompress_at: Sequence[float]) -> None:
    merged = sorted([(at, True) for at in compress_at] + [(at, False) for at in decompress_at])
    kinds = [kind for _, kind in merged]
    alternate = kinds == [index % 2 == 0 for index in range(len(kinds))]
    inside = all(0 < at < 1 for at, _ in merged)
    if not (merged and alternate and inside and kinds[-1]):
        raise InvalidConfig(
            "compress_at, decompress_at",
            (tuple(compress_at), tuple(decompress_at)),
            "they must be fractions in (0, 1) that alternate, compression first and last",
        )
