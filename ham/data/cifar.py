"""CIFAR-10 and CIFAR-100: 60,000 images of 32x32 pixels, read from the original files.

The files are expected under ``HAM_DATA_DIR`` as torchvision unpacks them
(``cifar-10-batches-py``, ``cifar-100-python``).

Reference: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009,
https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset
from torchvision.datasets import CIFAR10, CIFAR100

from ham.data.augmentation import random_crop_and_flip
from ham.data.root import data_root, not_found
from ham.data.splits import Splits, hash_tensors, stratified_split

VALIDATION_SHARE = 10  # one in ten training images
MEAN = {10: (0.4914, 0.4822, 0.4465), 100: (0.5071, 0.4865, 0.4409)}
DEVIATION = {10: (0.2470, 0.2435, 0.2616), 100: (0.2673, 0.2564, 0.2762)}


def load_cifar10() -> Splits:
    """Return 45,000 train, 5,000 validation and the 10,000 original test images of CIFAR-10."""
    return _load(10, str(data_root()))


def load_cifar100() -> Splits:
    """Return 45,000 train, 5,000 validation and 10,000 test images with 100 fine labels."""
    return _load(100, str(data_root()))


class Normalize:
    """Convert bytes to floats of mean 0 and standard deviation 1 per channel.

    Shape: (n, 3, height, width) of uint8 -> same shape of float32.
    """

    def __init__(self, mean: tuple[float, ...], deviation: tuple[float, ...]) -> None:
        self._mean = torch.tensor(mean).view(1, -1, 1, 1) * 255
        self._deviation = torch.tensor(deviation).view(1, -1, 1, 1) * 255

    def __call__(self, images: Tensor) -> Tensor:
        """Return the normalized batch."""
        return (images - self._mean.to(images.device)) / self._deviation.to(images.device)


@cache
def _load(classes: int, root: str) -> Splits:
    source = {10: CIFAR10, 100: CIFAR100}[classes]
    try:
        original, test_set = (source(root, train=train) for train in (True, False))
    except RuntimeError:  # torchvision raises it for a missing and for a damaged file
        raise not_found(source.__name__, data_root() / source.base_folder) from None
    labels = np.array(original.targets)
    train, validation = stratified_split(labels, len(labels) // VALIDATION_SHARE)
    parts = (
        _tensors(original, train),
        _tensors(original, validation),
        _tensors(test_set, np.arange(len(test_set))),
    )
    return Splits(
        *parts,
        content_hash=hash_tensors(*(tensor for part in parts for tensor in part.tensors)),
        prepare=Normalize(MEAN[classes], DEVIATION[classes]),
        augment=random_crop_and_flip,
    )


def _tensors(dataset: CIFAR10, indices: np.ndarray) -> TensorDataset:
    images = torch.from_numpy(dataset.data[indices]).permute(0, 3, 1, 2).contiguous()
    return TensorDataset(images, torch.tensor(np.array(dataset.targets)[indices]))
