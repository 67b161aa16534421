"""1,797 real handwritten digits of 8x8 pixels, from scikit-learn.

Reference: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
Learning Repository, 1998.
"""

from __future__ import annotations

from functools import cache

import torch
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset

from ham.data.splits import Splits, hash_tensors, stratified_split

VALIDATION_SIZE = 500
TEST_SIZE = 500
LARGEST_PIXEL = 16.0


@cache
def load() -> Splits:
    """Return 797 train, 500 validation and 500 test images, stratified by digit.

    Shape: images (n, 1, 8, 8) in [0, 1], labels (n,) in 0..9.
    """
    digits = load_digits()
    images = torch.tensor(digits.images / LARGEST_PIXEL, dtype=torch.float32).unsqueeze(1)
    labels = torch.tensor(digits.target, dtype=torch.int64)
    indices = stratified_split(digits.target, VALIDATION_SIZE, TEST_SIZE)
    parts = [torch.from_numpy(part) for part in indices]
    train, validation, test = (TensorDataset(images[part], labels[part]) for part in parts)
    tensors = (t for part in (train, validation, test) for t in part.tensors)
    return Splits(train, validation, test, hash_tensors(*tensors))
