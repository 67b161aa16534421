"""Batches depend on seed and epoch only, and hold every example once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from ham.data import Part, batches_of
from ham.errors import InvalidConfig

CPU = torch.device("cpu")


class Lazy(Dataset[Any]):
    """The same examples as a dataset that is read item by item."""

    def __init__(self, whole: TensorDataset) -> None:
        self.whole = whole

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image, label = self.whole[index]
        return image, int(label)


@pytest.fixture(params=["whole", "lazy"])
def dataset(request: pytest.FixtureRequest) -> Dataset[Any]:
    whole = TensorDataset(torch.arange(10.0)[:, None], torch.arange(10))
    return whole if request.param == "whole" else Lazy(whole)


def labels(dataset: Dataset[Any], epoch: int, **options: Any) -> list[list[int]]:
    batches = batches_of(dataset, 4, CPU, **options)
    found = [(images, labels) for images, labels in batches.epoch(epoch)]
    assert len(found) == len(batches)
    assert all(torch.equal(images[:, 0], labels.float()) for images, labels in found)
    return [labels.tolist() for _, labels in found]


def test_evaluation_keeps_the_order_and_every_example(dataset: Dataset[Any]) -> None:
    assert labels(dataset, 0) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_training_drops_the_last_smaller_batch(dataset: Dataset[Any]) -> None:
    found = labels(dataset, 1, shuffle_seed=0)
    assert [len(batch) for batch in found] == [4, 4]
    assert len({label for batch in found for label in batch}) == 8


def test_order_depends_on_seed_and_epoch_only(dataset: Dataset[Any]) -> None:
    first = labels(dataset, 1, shuffle_seed=0)
    torch.rand(3)
    assert labels(dataset, 1, shuffle_seed=0) == first
    assert labels(dataset, 2, shuffle_seed=0) != first
    assert labels(dataset, 1, shuffle_seed=1) != first


def test_whole_batches_leave_the_global_generator_alone() -> None:
    whole = TensorDataset(torch.arange(10.0)[:, None], torch.arange(10))
    before = torch.get_rng_state()
    labels(whole, 1, shuffle_seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_batch_larger_than_the_training_set_is_refused(dataset: Dataset[Any]) -> None:
    with pytest.raises(InvalidConfig, match="batch_size=11"):
        batches_of(dataset, 11, CPU, shuffle_seed=0)


@pytest.mark.parametrize("options", [{}, {"shuffle_seed": 0}], ids=["evaluation", "training"])
@pytest.mark.parametrize("of", [2, 3])
def test_parts_of_a_batch_hold_every_example_once(
    dataset: Dataset[Any], options: dict[str, Any], of: int
) -> None:
    batches = batches_of(dataset, 4, CPU, **options)
    whole = [batch.tolist() for _, batch in batches.epoch(1)]
    for number in range(of):
        found = list(batches.epoch(1, Part(number, of)))
        assert all(torch.equal(images[:, 0], batch.float()) for images, batch in found)
        parts = [batch[number::of] for batch in whole]
        assert [batch.tolist() for _, batch in found] == [part for part in parts if part]
    assert [batch.tolist() for _, batch in batches.epoch(1)] == whole
