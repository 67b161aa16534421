"""1,797 real handwritten digits of 8x8 pixels, from scikit-learn.

Reference: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
Learning Repository, 1998.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset

from ham.data.splits import Splits, hash_tensors

VALIDATION_SIZE = 500
TEST_SIZE = 500
SPLIT_SEED = 0
LARGEST_PIXEL = 16.0


@cache
def load() -> Splits:
    """Return 797 train, 500 validation and 500 test images, stratified by digit.

    Shape: images (n, 1, 8, 8) in [0, 1], labels (n,) in 0..9.
    """
    digits = load_digits()
    images = torch.tensor(digits.images / LARGEST_PIXEL, dtype=torch.float32).unsqueeze(1)
    labels = torch.tensor(digits.target, dtype=torch.int64)
    parts = [torch.from_numpy(part) for part in _split(digits.target)]
    train, validation, test = (TensorDataset(images[part], labels[part]) for part in parts)
    tensors = (t for part in (train, validation, test) for t in part.tensors)
    return Splits(train, validation, test, hash_tensors(*tensors))


def _split(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # RandomState's stream is frozen by NumPy's policy; Generator's and scikit-learn's are not.
    shuffled = np.random.RandomState(SPLIT_SEED).permutation(len(labels))
    by_digit = shuffled[np.argsort(labels[shuffled], kind="stable")]
    rest, validation = _take_evenly(by_digit, VALIDATION_SIZE)
    train, test = _take_evenly(rest, TEST_SIZE)
    return train, validation, test


def _take_evenly(ordered: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Split off ``count`` evenly spaced entries: each digit's share is exact to within one."""
    marks = np.arange(len(ordered) + 1) * count // len(ordered)
    taken = np.diff(marks) == 1
    return ordered[~taken], ordered[taken]
