"""CIFAR and ImageNet are read from files in their real formats."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset
from torchvision.datasets import CIFAR10, CIFAR100, ImageFolder

from ham.data import batches_of, cifar, imagenet
from ham.data.augmentation import random_crop_and_flip
from ham.data.root import DataNotFound
from tests.ham.data.splits import sizes_of, tensors_of

CPU = torch.device("cpu")


def write_pickle(path: Path, content: dict[str, Any]) -> list[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return [path.name, hashlib.md5(path.read_bytes()).hexdigest()]


def cifar_part(seed: int, label_key: str, classes: int, count: int = 40) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "data": rng.integers(0, 256, (count, 3072), dtype=np.uint8),
        label_key: [i % classes for i in range(count)],
    }


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HAM_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def small_cifar10(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two training files and a test file; torchvision's tables get their checksums."""
    folder = data_dir.joinpath(CIFAR10.base_folder)
    train = [write_pickle(folder / f"data_batch_{i}", cifar_part(i, "labels", 10)) for i in (1, 2)]
    test = [write_pickle(folder / "test_batch", cifar_part(3, "labels", 10, count=20))]
    names = {"label_names": [str(i) for i in range(10)]}
    name, md5 = write_pickle(folder / "batches.meta", names)
    meta = {"filename": name, "key": "label_names", "md5": md5}
    for field, value in {"train_list": train, "test_list": test, "meta": meta}.items():
        monkeypatch.setattr(CIFAR10, field, value)
    return folder


def test_cifar10_is_read_and_split_by_class(small_cifar10: Path) -> None:
    splits = cifar.load_cifar10()
    parts = (splits.train, splits.validation, splits.test)
    assert sizes_of(splits) == [72, 8, 20]
    images, labels = tensors_of(splits.test)
    raw = cifar_part(3, "labels", 10, count=20)
    assert images.dtype == torch.uint8
    assert torch.equal(images.flatten(1), torch.from_numpy(raw["data"]))
    assert labels.tolist() == raw["labels"]
    both = torch.cat([tensors_of(part)[0].flatten(1) for part in parts[:2]])
    assert len(both.unique(dim=0)) == 80


def test_cifar_batches_are_normalized(small_cifar10: Path) -> None:
    splits = cifar.load_cifar10()
    (images, _), *_ = batches_of(splits.test, 20, CPU, transforms=[splits.prepare]).epoch(0)
    raw = tensors_of(splits.test)[0].double() / 255
    mean = torch.tensor(cifar.MEAN[10]).view(3, 1, 1)
    deviation = torch.tensor(cifar.DEVIATION[10]).view(3, 1, 1)
    assert images.dtype == torch.float32
    assert torch.allclose(images.double(), (raw - mean) / deviation, atol=1e-5)


def test_cifar100_reads_fine_labels(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = data_dir / CIFAR100.base_folder
    train = [write_pickle(folder / "train", cifar_part(1, "fine_labels", 100, count=200))]
    test = [write_pickle(folder / "test", cifar_part(2, "fine_labels", 100, count=100))]
    names = {"fine_label_names": [str(i) for i in range(100)]}
    name, md5 = write_pickle(folder / "meta", names)
    meta = {"filename": name, "key": "fine_label_names", "md5": md5}
    for field, value in {"train_list": train, "test_list": test, "meta": meta}.items():
        monkeypatch.setattr(CIFAR100, field, value)
    splits = cifar.load_cifar100()
    assert sizes_of(splits) == [180, 20, 100]
    assert set(tensors_of(splits.test)[1].tolist()) == set(range(100))


def test_damaged_or_missing_cifar_names_its_folder(small_cifar10: Path) -> None:
    (small_cifar10 / "test_batch").write_bytes(b"damaged")
    with pytest.raises(DataNotFound, match=r"cifar-10-batches-py; put it there, or set HAM_DATA"):
        cifar.load_cifar10()


@pytest.fixture
def small_imagenet(data_dir: Path) -> Path:
    """JPEG files of several sizes in one folder per class, 14 to train and 2 to test."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 14), ("val", 2)):
        for name in ("n01440764", "n01443537"):
            folder = data_dir / "imagenet" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (280 + i, 260, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{name}_{i}.JPEG")
    return data_dir / "imagenet"


def test_imagenet_holds_out_ten_images_per_class(small_imagenet: Path) -> None:
    splits = imagenet.load()
    assert sizes_of(splits) == [8, 20, 4]
    train, validation = splits.train, splits.validation
    assert isinstance(train, Subset) and isinstance(validation, Subset)
    assert not set(train.indices) & set(validation.indices)
    assert isinstance(validation.dataset, ImageFolder)
    labels = [validation.dataset.targets[i] for i in validation.indices]
    assert sorted(labels) == [0] * 10 + [1] * 10


def test_imagenet_images_are_normalized_and_augmented_only_for_training(
    small_imagenet: Path,
) -> None:
    splits = imagenet.load()
    for part, changes in ((splits.train, True), (splits.validation, False), (splits.test, False)):
        image, label = part[0]
        assert image.shape == (3, 224, 224) and image.dtype == torch.float32
        assert label in (0, 1)
        assert torch.equal(image, part[0][0]) is not changes
        assert abs(float(image.mean())) < 1


def test_lazy_training_batches_repeat_with_seed_and_epoch(small_imagenet: Path) -> None:
    splits = imagenet.load()
    batches = batches_of(splits.train, 4, CPU, shuffle_seed=1)
    first, second = (list(batches.epoch(3)) for _ in range(2))
    assert [labels.tolist() for _, labels in first] == [labels.tolist() for _, labels in second]
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(first, second, strict=True))


def test_missing_imagenet_names_its_variable(data_dir: Path) -> None:
    with pytest.raises(DataNotFound, match="HAM_DATA_DIR"):
        imagenet.load()


def test_crop_and_flip_shifts_and_mirrors_whole_images() -> None:
    torch.manual_seed(0)
    images = torch.arange(200 * 2 * 5 * 6, dtype=torch.float32).reshape(200, 2, 5, 6) + 1
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
    seen = set()
    for image, frame in zip(random_crop_and_flip(images), padded, strict=True):
        matches = [
            (top, left, flip)
            for top in range(9)
            for left in range(9)
            for flip in (False, True)
            if torch.equal(
                image,
                (frame[:, top : top + 5, left : left + 6]).flip(-1)
                if flip
                else frame[:, top : top + 5, left : left + 6],
            )
        ]
        assert matches
        seen.add(matches[0])
    assert {flip for _, _, flip in seen} == {False, True}
    assert {top for top, _, _ in seen} == set(range(9))
