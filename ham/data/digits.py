"""Handwritten digits: 1,797 images of 8x8 pixels from scikit-learn.

Reference: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
Learning Repository, 1998.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
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
    pixels, digits = _read()
    images = torch.tensor(pixels / LARGEST_PIXEL, dtype=torch.float32).view(-1, 1, 8, 8)
    labels = torch.tensor(digits, dtype=torch.int64)
    indices = stratified_split(digits, VALIDATION_SIZE, TEST_SIZE)
    parts = [torch.from_numpy(part) for part in indices]
    train, validation, test = (TensorDataset(images[part], labels[part]) for part in parts)
    tensors = (t for part in (train, validation, test) for t in part.tensors)
    return Splits(train, validation, test, hash_tensors(*tensors))


def _read() -> tuple[np.ndarray, np.ndarray]:
    """Read scikit-learn's file without importing scikit-learn, which takes seconds.

    Returns:
        Pixels (1797, 64) in 0..16 and digits (1797,).
    """
    package = find_spec("sklearn")
    assert package is not None and package.origin is not None, "hamtune depends on scikit-learn"
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz") as file:
        table = np.loadtxt(file, delimiter=",")
    return table[:, :-1], table[:, -1].astype(int)
