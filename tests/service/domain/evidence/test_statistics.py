"""Intervals cover the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from service.domain.evidence.statistics import CONFIDENCE, differ, estimate, paired_gain

accuracies = st.floats(0, 1)
by_seed = st.dictionaries(st.integers(0, 20), accuracies, min_size=2)


@given(st.lists(accuracies, min_size=2, max_size=30))
def test_interval_is_students_t(values: list[float]) -> None:
    got = estimate(values)
    error = scipy.stats.sem(values)
    low, high = (
        scipy.stats.t.interval(CONFIDENCE, len(values) - 1, np.mean(values), error)
        if error > 0
        else (np.mean(values), np.mean(values))
    )
    assert (got.low, got.mean, got.high) == pytest.approx((low, np.mean(values), high), abs=1e-12)
    assert got.n == len(values)


@pytest.mark.parametrize("n", [2, 4, 10])
def test_interval_covers_the_truth_as_often_as_it_says(n: int) -> None:
    rng = np.random.default_rng(n)
    intervals = [estimate(sample) for sample in rng.normal(0.9, 0.02, (2000, n)).tolist()]
    covered = np.mean([each.low <= 0.9 <= each.high for each in intervals])
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize("values", [[], [0.9]])
def test_interval_of_fewer_than_two_values_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match=f"got {len(values)}"):
        estimate(values)


@given(by_seed, st.dictionaries(st.integers(0, 20), accuracies))
def test_gain_pairs_the_seeds_that_both_have(
    baseline: dict[int, float], extra: dict[int, float]
) -> None:
    treated = {seed: value + 0.5 for seed, value in baseline.items()}
    lonely = {seed + 100: value for seed, value in extra.items()}
    gain = paired_gain(treated | lonely, baseline)
    assert (gain.low, gain.mean, gain.high) == pytest.approx((0.5, 0.5, 0.5))
    assert gain.n == len(baseline)


@given(by_seed, st.data())
def test_gain_does_not_depend_on_what_a_seed_does_to_both_sides(
    baseline: dict[int, float], data: st.DataObject
) -> None:
    treated = {seed: data.draw(accuracies) for seed in baseline}
    shift = {seed: data.draw(st.floats(-1, 1)) for seed in baseline}
    gain = paired_gain(treated, baseline)
    shifted = paired_gain(
        {seed: accuracy + shift[seed] for seed, accuracy in treated.items()},
        {seed: accuracy + shift[seed] for seed, accuracy in baseline.items()},
    )
    assert shifted.model_dump() == pytest.approx(gain.model_dump(), abs=1e-9)


@given(by_seed, st.data())
def test_gain_changes_its_sign_with_the_order_of_the_sides(
    baseline: dict[int, float], data: st.DataObject
) -> None:
    treated = {seed: data.draw(accuracies) for seed in baseline}
    there, back = paired_gain(treated, baseline), paired_gain(baseline, treated)
    assert (there.mean, there.low, there.high) == pytest.approx(
        (-back.mean, -back.high, -back.low), abs=1e-12
    )
    assert differ(treated, baseline) == differ(baseline, treated)


def test_two_sides_differ_only_where_the_interval_excludes_zero() -> None:
    baseline = {1: 0.80, 2: 0.90, 3: 0.85}
    assert differ({1: 0.82, 2: 0.921, 3: 0.869}, baseline)
    assert not differ({1: 0.82, 2: 0.88, 3: 0.869}, baseline)
    assert not differ({1: 0.99}, baseline), "one pair gives no interval"
    assert not differ({8: 0.99, 9: 0.99}, baseline), "nor do other seeds"
