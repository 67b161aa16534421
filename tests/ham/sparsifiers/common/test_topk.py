"""Selections hold exactly the requested number of weights, also with ties and NaN."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ham.sparsifiers.common.topk import exact_floor, kept_count, largest, random_subset

tied_scores = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=1, max_size=40)


@given(tied_scores, st.data())
def test_largest_agrees_with_a_stable_numpy_sort(scores: list[float], data: st.DataObject) -> None:
    count = data.draw(st.integers(0, len(scores)))
    expected = np.zeros(len(scores), dtype=bool)
    expected[np.argsort(-np.array(scores), kind="stable")[:count]] = True
    np.testing.assert_array_equal(largest(torch.tensor(scores), count).numpy(), expected)


@pytest.mark.parametrize("shape", [(1,), (5,), (4, 5), (2, 9, 1), (2, 2, 4, 4)])
@pytest.mark.parametrize("fill", [0.0, float("nan"), float("inf")])
def test_largest_keeps_the_count_when_all_scores_tie(shape: tuple[int, ...], fill: float) -> None:
    scores = torch.full(shape, fill)
    for count in range(scores.numel() + 1):
        mask = largest(scores, count)
        assert mask.shape == scores.shape
        assert int(mask.sum()) == count


@pytest.mark.parametrize(
    ("size", "sparsity", "kept"),
    [(1000, 0.9, 100), (1000, 0.0, 1000), (10, 0.99, 1), (7, 0.5, 4), (1, 0.9, 1)],
)
def test_kept_count_rounds_zeros_down(size: int, sparsity: float, kept: int) -> None:
    assert kept_count(size, sparsity) == kept


def test_exact_floor_corrects_round_off() -> None:
    assert int(0.29 * 100) == 28
    assert exact_floor(0.29 * 100) == 29
    assert exact_floor(28.9) == 28


@given(st.integers(0, 2**31), st.data())
def test_random_subset_draws_candidates_only_and_repeats_with_its_seed(
    seed: int, data: st.DataObject
) -> None:
    candidates = torch.tensor(data.draw(st.lists(st.booleans(), min_size=1, max_size=30)))
    count = data.draw(st.integers(0, int(candidates.sum())))
    first, second = (
        random_subset(candidates, count, torch.Generator().manual_seed(seed)) for _ in range(2)
    )
    assert torch.equal(first, second)
    assert int(first.sum()) == count
    assert not (first & ~candidates).any()


def test_random_subset_is_uniform() -> None:
    generator = torch.Generator().manual_seed(0)
    candidates = torch.tensor([True, True, False, True, True])
    hits = torch.zeros(5, dtype=torch.float64)
    for _ in range(4000):
        hits += random_subset(candidates, 2, generator)
    # Each candidate is drawn with p = 1/2: five standard deviations are 158.
    assert ((hits[candidates] - 2000).abs() < 158).all()
    assert hits[2] == 0
