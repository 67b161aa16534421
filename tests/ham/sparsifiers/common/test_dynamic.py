"""Drop and grow against a plain NumPy calculation, and the steps of the updates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ham.errors import InvalidConfig
from ham.sparsifiers.common.dynamic import default_interval, drop_and_grow
from ham.sparsifiers.common.schedules import cosine_drop_fraction
from ham.sparsifiers.common.topk import exact_floor
from ham.sparsifiers.rigl import RigL

SHAPES = [(1,), (5,), (4, 5), (2, 9, 1), (2, 2, 4, 4)]


def drop_and_grow_in_numpy(
    weight: np.ndarray, mask: np.ndarray, count: int, scores: np.ndarray
) -> np.ndarray:
    """Drop and grow one position at a time, as in the paper's Algorithm 1."""
    kept = {int(i) for i in np.flatnonzero(mask)}
    for _ in range(count):
        kept.remove(min(kept, key=lambda i: (abs(weight.flat[i]), -i)))
    new = set(kept)
    for _ in range(count):
        free = [i for i in range(weight.size) if i not in new]
        new.add(max(free, key=lambda i: (scores.flat[i], -i)))
    result = np.zeros(weight.size, dtype=bool)
    result[list(new)] = True
    return result.reshape(weight.shape)


@given(st.sampled_from(SHAPES), st.integers(0, 2**16), st.data())
def test_drop_and_grow_agrees_with_numpy_one_position_at_a_time(
    shape: tuple[int, ...], seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < 0.5
    # Few distinct values, and zeros among active weights: ties as after a growth.
    weight = rng.integers(-2, 3, shape).astype(np.float32) * mask
    scores = rng.integers(0, 4, shape).astype(np.float32)
    count = data.draw(st.integers(0, int(mask.sum())))
    tensors = torch.from_numpy(weight), torch.from_numpy(mask)
    new = drop_and_grow(*tensors, count, torch.from_numpy(scores))
    np.testing.assert_array_equal(new.numpy(), drop_and_grow_in_numpy(weight, mask, count, scores))
    assert new.sum() == mask.sum()


@pytest.mark.parametrize(
    ("step", "fraction"),
    [
        (0, 0.3),
        (100, 0.299988),
        (6250, 0.256066),
        (12500, 0.15),
        (18750, 0.043934),
        (24900, 0.000012),
        (25000, 0.0),
        (30000, 0.0),
    ],
)
def test_cosine_drop_fraction_gives_the_papers_values(step: int, fraction: float) -> None:
    assert cosine_drop_fraction(step, 25000, 0.3) == pytest.approx(fraction, abs=5e-7)


def test_drop_count_is_safe_from_round_off() -> None:
    assert exact_floor(1000 * cosine_drop_fraction(12500, 25000, 0.3)) == 150


def test_updates_end_at_three_quarters_and_come_at_least_fifteen_times() -> None:
    rigl = RigL(0.9, total_steps=180)
    updates = [step for step in range(1, 181) if rigl.is_update(step)]
    assert rigl.end_step == 135
    assert updates[0] == 8 and updates[-1] < 135
    assert len(updates) == 16
    assert default_interval(24_000) == 100
    assert default_interval(3) == 4


@pytest.mark.parametrize(
    "options",
    [{"drop_fraction": 1.5}, {"update_end": 0.0}, {"update_end": 1.1}, {"update_interval": 0}],
)
def test_options_outside_their_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match=next(iter(options))):
        RigL(0.9, total_steps=100, **options)
