"""The three splits of a dataset, and what identifies their content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset


@dataclass(frozen=True)
class Splits:
    """Train, validation and test, split once and for all.

    A :class:`~torch.utils.data.TensorDataset` is kept whole in memory and batched by indexing;
    any other map-style dataset of (image, label) goes through a ``DataLoader``.

    Attributes:
        train: what weights are fitted to.
        validation: what settings are chosen by.
        test: touched only to measure finalists and baselines.
        content_hash: changes whenever the content or the order of a split does.
    """

    train: Dataset[Any]
    validation: Dataset[Any]
    test: Dataset[Any]
    content_hash: str


def hash_tensors(*tensors: Tensor) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of shapes, types and values."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
