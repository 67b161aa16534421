"""ImageNet-1k, read image by image from one folder per class.

The images are expected under ``HAM_DATA_DIR/imagenet`` as ``train/<class>/`` and
``val/<class>/``.

Reference: Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", IJCV 2015,
https://arxiv.org/abs/1409.0575.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from ham.data.root import data_root, not_found
from ham.data.splits import Splits, stratified_split

VALIDATION_PER_CLASS = 10
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE, RESIZED_SIDE = 224, 256


def load() -> Splits:
    """Return train, 10 held-out training images per class, and the official validation set.

    The held-out images are the validation split, on which configurations are chosen. The official
    validation set is the test split, as is usual in the field.
    """
    return _load(str(data_root() / "imagenet"))


@cache
def _load(root: str) -> Splits:
    folders = Path(root) / "train", Path(root) / "val"
    for folder in folders:
        if not folder.is_dir():
            raise not_found("ImageNet", folder)
    augmented = ImageFolder(str(folders[0]), _training_transform())
    plain = ImageFolder(str(folders[0]), _evaluation_transform())
    test = ImageFolder(str(folders[1]), _evaluation_transform())
    count = VALIDATION_PER_CLASS * len(plain.classes)
    train, validation = stratified_split(np.array(plain.targets), count)
    return Splits(
        Subset(augmented, train.tolist()),
        Subset(plain, validation.tolist()),
        test,
        content_hash=_hash_listing(plain, test),
    )


def _training_transform() -> v2.Compose:
    return v2.Compose([v2.RandomResizedCrop(SIDE), v2.RandomHorizontalFlip(), *_to_floats()])


def _evaluation_transform() -> v2.Compose:
    return v2.Compose([v2.Resize(RESIZED_SIDE), v2.CenterCrop(SIDE), *_to_floats()])


def _to_floats() -> list[v2.Transform]:
    return [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, DEVIATION)]


def _hash_listing(*folders: ImageFolder) -> str:
    """Hash the names and sizes of all files, since reading 150 GB for every run is too slow."""
    digest = hashlib.sha256()
    for folder in folders:
        for path, label in folder.samples:
            relative = Path(path).relative_to(folder.root)
            digest.update(f"{relative} {Path(path).stat().st_size} {label}\n".encode())
    return digest.hexdigest()[:16]
