"""The three splits of a dataset, the hash of their content, and stratified splitting."""

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
    """The fixed train, validation and test split of a dataset.

    A :class:`~torch.utils.data.TensorDataset` is held in memory and batched by indexing. Any
    other map-style dataset of (image, label) is read through a ``DataLoader``.

    Attributes:
        train: examples that the weights are fitted to.
        validation: examples on which configurations are chosen.
        test: examples that measure finalists and baselines, and nothing else.
        content_hash: hash that changes with the content or the order of a split.
        prepare: applied to every batch of images, for example bytes to normalized floats.
        augment: applied to training batches before ``prepare``.
    """

    train: Dataset[Any]
    validation: Dataset[Any]
    test: Dataset[Any]
    content_hash: str
    prepare: BatchTransform | None = None
    augment: BatchTransform | None = None


def hash_tensors(*tensors: Tensor) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of shapes, types and values."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def stratified_split(labels: np.ndarray, *counts: int) -> list[np.ndarray]:
    """Split indices with a fixed seed; the class counts of each part are proportional within one.

    Args:
        labels: (n,), integer class of each example.
        *counts: sizes of the parts to split off.

    Returns:
        The indices of the rest, then one array of indices per count.
    """
    # NumPy's policy freezes the stream of RandomState, but not that of Generator.
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
