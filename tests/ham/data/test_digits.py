"""The splits of the digits are fixed, disjoint and stratified."""

from __future__ import annotations

import torch

from ham.catalog import DATASETS
from ham.data.digits import load
from tests.ham.data.splits import sizes_of, tensors_of

CONTENT = "5837a0ee0fcfa973"


def test_content_of_the_splits_never_changes() -> None:
    assert load().content_hash == CONTENT


def test_splits_have_the_registered_sizes_and_shape() -> None:
    spec, splits = DATASETS.get("digits"), load()
    parts = (splits.train, splits.validation, splits.test)
    assert tuple(sizes_of(splits)) == spec.sizes == (797, 500, 500)
    for part in parts:
        images, labels = tensors_of(part)
        assert images.shape[1:] == spec.shape
        assert images.min() == 0 and images.max() == 1
        assert set(labels.tolist()) == set(range(spec.classes))


def test_splits_share_no_image() -> None:
    splits = load()
    parts = (splits.train, splits.validation, splits.test)
    images = torch.cat([tensors_of(part)[0].flatten(1) for part in parts])
    assert len(images.unique(dim=0)) == len(images) == 1797


def test_splits_are_stratified_to_within_one_image() -> None:
    splits = load()
    parts = (splits.train, splits.validation, splits.test)
    counts = torch.stack([tensors_of(part)[1].bincount() for part in parts]).double()
    shares = torch.tensor([797, 500, 500]) / 1797
    assert (counts - shares[:, None] * counts.sum(0)).abs().max() < 2
