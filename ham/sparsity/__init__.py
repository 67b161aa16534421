"""Building blocks of sparsifiers. Nothing here knows a particular method."""

from ham.sparsity.base import BaseSparsifier, Batch, Loss, ParamGroup, Sparsifier
from ham.sparsity.masked import MaskedSparsifier
from ham.sparsity.masks import MaskSet
from ham.sparsity.prunable import prunable_weights
from ham.sparsity.report import LayerSparsity, SparsityReport

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
