"""Building blocks of sparsifiers. No module here knows a particular method.

The map for somebody who writes a sparsifier. Contract and shared base:

- ``protocol``: ``Sparsifier``, the protocol that a training loop relies on, and
  ``BaseSparsifier``, which checks arguments, counts steps and keeps the random generator.
- ``prunable``: the weights that may be pruned, and their names.
- ``masks``: ``MaskSet``, one mask per prunable weight, applied to weights and gradients.
- ``masked``: ``MaskedSparsifier``, the base of every method here but ``dense``. Begin with
  it: a method overrides ``choose_masks``, ``before_step`` or ``after_step``.
- ``optimizer_state``: momentum and other state of weights that are dropped or grown.
- ``report``: ``SparsityReport``, the counts of zeros, overall and per layer.

The choice of weights:

- ``topk``: exactly so many weights by score or at random, per layer or over all layers.
- ``allocation``: a density per layer from one target sparsity: uniform, ERK, balanced.
- ``scoring``: scores on a copy of the model before training, on batches of data.

The change of masks over a training:

- ``schedules``: schedules in time: cosine drop fraction, cubic sparsity.
- ``dynamic``: dynamic sparse training. A method gives the growth scores.
- ``iterative``: iterative magnitude pruning over several trainings. A method rewinds.
- ``rewinding``: the model of an early step, saved and restored.

Weights that are computed from other tensors:

- ``reparametrized``: parametrization of the layers, parameter groups, folding.
- ``mask_freezing``: exact target sparsity for methods whose sparsity emerges.
- ``factors``: weights as products of two penalized factors.
- ``shrinkage``: weights that are shrunk by a threshold or a gate.

:class:`ham.testing.SparsifierContract` holds the tests that every sparsifier must pass.
"""

from ham.sparsifiers.common.masked import MaskedSparsifier
from ham.sparsifiers.common.masks import MaskSet
from ham.sparsifiers.common.protocol import BaseSparsifier, Batch, Loss, ParamGroup, Sparsifier
from ham.sparsifiers.common.prunable import prunable_weights
from ham.sparsifiers.common.report import LayerSparsity, SparsityReport

__all__ = [
    "BaseSparsifier",
    "Batch",
    "LayerSparsity",
    "Loss",
    "MaskSet",
    "MaskedSparsifier",
    "ParamGroup",
    "Sparsifier",
    "SparsityReport",
    "prunable_weights",
]
