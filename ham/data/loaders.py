"""Batches of a dataset, in an order that depends on seed and epoch only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    TensorDataset,
)

from ham.data.splits import BatchTransform
from ham.errors import InvalidConfig

Batch = tuple[Tensor, Tensor]
Examples = TypeVar("Examples", Tensor, list[int])

# Loader processes draw the augmentation of the images that they read, so a training repeats
# exactly only with the same number of them.
WORKERS = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)


class Part(NamedTuple):
    """A part of each batch: every ``of``-th example, from example ``number`` on.

    Attributes:
        number: index of the part, in [0, of).
        of: number of parts, >= 1.
    """

    number: int
    of: int

    def take(self, examples: Examples) -> Examples:
        """Return the part of a batch; it is empty if the batch has at most ``number`` examples."""
        return examples if self.of == 1 else examples[self.number :: self.of]


WHOLE = Part(0, 1)


class Batches(Protocol):
    """The batches of one split."""

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""

    def epoch(self, number: int, part: Part = WHOLE) -> Iterator[Batch]:
        """Yield (images, labels) on the device; the order depends on seed and epoch only.

        Args:
            number: number of the epoch.
            part: part of each batch; an empty part is left out.
        """


def batches_of(
    dataset: Dataset[Any],
    batch_size: int,
    device: torch.device,
    *,
    shuffle_seed: int | None = None,
    transforms: Sequence[BatchTransform | None] = (),
) -> Batches:
    """Return the batches of a split.

    Args:
        dataset: a TensorDataset is copied to the device once; loader processes read any other.
        batch_size: examples per batch, >= 1.
        device: device of the batches.
        shuffle_seed: seed for training, with a new order in every epoch and without the last,
            smaller batch. None for evaluation, with the dataset's own order and every example.
        transforms: applied to the images of every batch, in this order; None does nothing.

    Raises:
        InvalidConfig: the batch size of a training is outside [1, size of the dataset].
    """
    size = len(dataset)  # type: ignore[arg-type]
    if shuffle_seed is not None and not 1 <= batch_size <= size:
        raise InvalidConfig("batch_size", batch_size, f"it must be in [1, {size}], the dataset")
    if isinstance(dataset, TensorDataset):
        batches: Batches = TensorBatches(dataset, batch_size, device, shuffle_seed)
    else:
        batches = LoaderBatches(dataset, batch_size, device, shuffle_seed)
    wanted = [transform for transform in transforms if transform is not None]
    return TransformedBatches(batches, wanted) if wanted else batches


class TensorBatches:
    """Batches by indexing tensors on the device, without loader processes and host copies."""

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

    def epoch(self, number: int, part: Part = WHOLE) -> Iterator[Batch]:
        """Yield the batches of an epoch; see :class:`Batches`."""
        images, labels = self._images, self._labels
        if self._shuffle_seed is not None:
            order = torch.randperm(len(labels), generator=_generator(self._shuffle_seed, number))
            order = order.to(labels.device)
            images, labels = images[order], labels[order]
        starts = range(0, len(self) * self._batch_size, self._batch_size)
        for start in starts:
            stop = start + self._batch_size
            taken = part.take(labels[start:stop])
            if len(taken):
                yield part.take(images[start:stop]), taken


class LoaderBatches:
    """Batches through a torch ``DataLoader``, for data that is read or augmented per example."""

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int,
        device: torch.device,
        shuffle_seed: int | None,
    ) -> None:
        self._device = device
        self._shuffle_seed = shuffle_seed
        self._generator = torch.Generator()
        training = shuffle_seed is not None
        order = (
            RandomSampler(dataset, generator=self._generator)  # type: ignore[arg-type]
            if training
            else SequentialSampler(dataset)  # type: ignore[arg-type]
        )
        self._parts = _Parts(BatchSampler(order, batch_size, drop_last=training))
        self._loader = DataLoader(
            dataset,
            batch_sampler=self._parts,
            generator=self._generator,
            num_workers=WORKERS,
            pin_memory=device.type == "cuda",
        )

    def __len__(self) -> int:
        return len(self._loader)

    def epoch(self, number: int, part: Part = WHOLE) -> Iterator[Batch]:
        """Yield the batches of an epoch; see :class:`Batches`."""
        self._generator.set_state(_generator(self._shuffle_seed or 0, number).get_state())
        self._parts.part = part
        for images, labels in self._loader:
            yield (
                images.to(self._device, non_blocking=True),
                labels.to(self._device, non_blocking=True),
            )


class _Parts(Sampler[list[int]]):
    """Sampler of the indices of one part of each batch, so that only these are read."""

    def __init__(self, batches: BatchSampler) -> None:
        self._batches = batches
        self.part = WHOLE

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        return filter(None, map(self.part.take, self._batches))


class TransformedBatches:
    """Batches whose images are transformed on their device."""

    def __init__(self, batches: Batches, transforms: Sequence[BatchTransform]) -> None:
        self._batches = batches
        self._transforms = transforms

    def __len__(self) -> int:
        return len(self._batches)

    def epoch(self, number: int, part: Part = WHOLE) -> Iterator[Batch]:
        """Yield the batches of an epoch; see :class:`Batches`."""
        for images, labels in self._batches.epoch(number, part):
            for transform in self._transforms:
                images = transform(images)
            yield images, labels


def _generator(seed: int, epoch: int) -> torch.Generator:
    # A large odd multiplier keeps (seed, epoch) pairs distinct without state to save.
    return torch.Generator().manual_seed((seed + epoch * 0x9E3779B97F4A7C15) % 2**63)
