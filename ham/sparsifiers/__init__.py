"""The sparsifiers, one file per method, and ``sparsify``, which attaches one to a model.

Each file has the method's registry name (see :data:`ham.catalog.SPARSIFIERS`). The building
blocks for a new method are in :mod:`ham.sparsifiers.common`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.nn.functional import cross_entropy

from ham.catalog import SPARSIFIERS
from ham.errors import UnknownName
from ham.sparsifiers.common import BaseSparsifier, Batch, Loss, ParamGroup, Sparsifier

__all__ = ["sparsify"]


def sparsify(
    model: nn.Module,
    name: str,
    *,
    sparsity: float,
    total_steps: int,
    steps_per_epoch: int = 1,
    seed: int = 0,
    batches: Iterable[Batch] = (),
    loss: Loss = cross_entropy,
    preset: str | None = None,
    **options: Any,
) -> tuple[Sparsifier, list[ParamGroup]]:
    """Attach a sparsifier to a model, for a training loop of your own.

    Four lines of the loop change::

        sparsifier, groups = ham.sparsify(model, "rigl", sparsity=0.9, total_steps=10_000)
        optimizer = ham.HAM(torch.optim.SGD(groups, lr=0.1, momentum=0.9), alpha=20, beta=1e-2)
        sparsifier.bind(optimizer)
        ...  # the unchanged loop
        sparsifier.finalize()

    Args:
        model: on its device, with its initial weights.
        name: registry name of the method.
        sparsity: fraction of zeros over all prunable weights, in [0, 1).
        total_steps: optimizer steps of the whole training, >= 1.
        steps_per_epoch: optimizer steps of one epoch, >= 1.
        seed: seed of the sparsifier's own generator.
        batches: (inputs, labels) pairs, for methods that score weights on data.
        loss: maps (outputs, labels) to a scalar, for the same methods.
        preset: ``imagenet`` or ``cifar`` for the method's published options at that scale.
        **options: options of the method; they override the preset.

    Returns:
        The sparsifier, and the parameter groups for the optimizer.

    Raises:
        UnknownName: no sparsifier or no preset has this name.
        InvalidConfig: an argument is outside its range.
    """
    method = SPARSIFIERS.get(name).load()
    if preset is not None:
        presets = getattr(method, "presets", BaseSparsifier.presets)
        if preset not in presets:
            raise UnknownName("preset", preset, presets)
        options = {**presets[preset], **options}
    sparsifier: Sparsifier = method(
        sparsity, total_steps=total_steps, steps_per_epoch=steps_per_epoch, seed=seed, **options
    )
    return sparsifier, sparsifier.attach(model, batches, loss)
