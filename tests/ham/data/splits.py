"""Typed access to the parts of a dataset's splits."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from ham.data.splits import Splits


def sizes_of(splits: Splits) -> list[int]:
    """Return the numbers of examples to train, to validate and to test."""
    sizes = []
    for part in (splits.train, splits.validation, splits.test):
        assert isinstance(part, Sized)
        sizes.append(len(part))
    return sizes


def tensors_of(part: Dataset[Any]) -> tuple[Tensor, Tensor]:
    """Return (images, labels) of a part that is held in memory."""
    assert isinstance(part, TensorDataset)
    images, labels = part.tensors
    return images, labels
