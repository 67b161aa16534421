"""The three splits of a dataset, and what identifies their content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

BatchTransform = Callable[[Tensor], Tensor]
SPLIT_SEED = 0


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
        prepare: applied to every batch of images, for example from bytes to normalized floats.
        augment: applied to training batches before ``prepare``.
    """

    train: Dataset[Any]
    validation: Dataset[Any]
    test: Dataset[Any]
    content_hash: str
    prepare: BatchTransform | None = None
    augment: BatchTransform | None = None


def hash_tensors(*tensors: Tensor) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of shapes, types and values."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def stratified_split(labels: np.ndarray, *counts: int) -> list[np.ndarray]:
    """Split indices once and for all; each class's share of a part is exact to within one.

    Args:
        labels: (n,) of integers.
        *counts: sizes of the parts to take off.

    Returns:
        The rest, then one array of indices per count.
    """
    # RandomState's stream is frozen by NumPy's policy; Generator's and scikit-learn's are not.
    shuffled = np.random.RandomState(SPLIT_SEED).permutation(len(labels))
    rest = shuffled[np.argsort(labels[shuffled], kind="stable")]
    parts = []
    for count in counts:
        rest, part = _take_evenly(rest, count)
        parts.append(part)
    return [rest, *parts]


def _take_evenly(ordered: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    marks = np.arange(len(ordered) + 1) * count // len(ordered)
    taken = np.diff(marks) == 1
    return ordered[~taken], ordered[taken]
