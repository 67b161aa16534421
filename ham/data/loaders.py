"""Batches of a dataset, in an order that a seed and an epoch determine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from ham.errors import InvalidConfig

Batch = tuple[Tensor, Tensor]


class Batches(Protocol):
    """The batches of one split."""

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield (images, labels) on the device; the order depends on seed and epoch only."""


def batches_of(
    dataset: Dataset[Any],
    batch_size: int,
    device: torch.device,
    *,
    shuffle_seed: int | None = None,
    workers: int = 0,
) -> Batches:
    """Return the batches of a split.

    Args:
        dataset: a TensorDataset is moved to the device once; others are read by ``workers``.
        batch_size: examples per batch.
        device: where batches live.
        shuffle_seed: for training: a new order every epoch, and the last, smaller batch dropped.
            None for evaluation: the dataset's own order, and every example.
        workers: processes that read a dataset which is not in memory.

    Raises:
        InvalidConfig: a training batch is larger than the dataset.
    """
    size = len(dataset)  # type: ignore[arg-type]
    if shuffle_seed is not None and not 1 <= batch_size <= size:
        raise InvalidConfig("batch_size", batch_size, f"it must be in [1, {size}], the dataset")
    if isinstance(dataset, TensorDataset):
        return TensorBatches(dataset, batch_size, device, shuffle_seed)
    return LoaderBatches(dataset, batch_size, device, shuffle_seed, workers)


class TensorBatches:
    """Batches by indexing whole tensors: no worker, no copy from the host."""

    def __init__(
        self,
        dataset: TensorDataset,
        batch_size: int,
        device: torch.device,
        shuffle_seed: int | None,
    ) -> None:
        self._images, self._labels = (tensor.to(device) for tensor in dataset.tensors)
        self._batch_size = batch_size
        self._shuffle_seed = shuffle_seed

    def __len__(self) -> int:
        full, rest = divmod(len(self._labels), self._batch_size)
        return full if self._shuffle_seed is not None else full + bool(rest)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of an epoch; see :class:`Batches`."""
        images, labels = self._images, self._labels
        if self._shuffle_seed is not None:
            order = torch.randperm(len(labels), generator=_generator(self._shuffle_seed, number))
            order = order.to(labels.device)
            images, labels = images[order], labels[order]
        starts = range(0, len(self) * self._batch_size, self._batch_size)
        for start in starts:
            stop = start + self._batch_size
            yield images[start:stop], labels[start:stop]


class LoaderBatches:
    """Batches through a torch ``DataLoader``, for data that is read or augmented on the way."""

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int,
        device: torch.device,
        shuffle_seed: int | None,
        workers: int,
    ) -> None:
        self._device = device
        self._shuffle_seed = shuffle_seed
        self._generator = torch.Generator()
        training = shuffle_seed is not None
        self._loader = DataLoader(
            dataset,
            batch_size,
            shuffle=training,
            drop_last=training,
            generator=self._generator,
            num_workers=workers,
            pin_memory=device.type == "cuda",
        )

    def __len__(self) -> int:
        return len(self._loader)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of an epoch; see :class:`Batches`."""
        self._generator.set_state(_generator(self._shuffle_seed or 0, number).get_state())
        for images, labels in self._loader:
            yield (
                images.to(self._device, non_blocking=True),
                labels.to(self._device, non_blocking=True),
            )


def _generator(seed: int, epoch: int) -> torch.Generator:
    # A large odd multiplier keeps (seed, epoch) pairs apart without further state to save.
    return torch.Generator().manual_seed((seed + epoch * 0x9E3779B97F4A7C15) % 2**63)
