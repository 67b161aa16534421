"""Building blocks of sparsifiers. Nothing here knows a particular method."""

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
