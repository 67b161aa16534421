"""Ranges: a logarithmic axis of which some share means zero."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ham.config import NO_HAM, PAPER_DEFAULT, Setting
from ham.errors import InvalidConfig
from search_spaces import LogRange, SearchSpace

AXIS = LogRange(low=1.0, high=400.0, zero_share=0.1)
ranges = st.builds(
    lambda low, ratio, share: LogRange(low=low, high=low * ratio, zero_share=share),
    st.floats(1e-4, 10),
    st.floats(1.5, 1e4),
    st.floats(0, 0.9),
)


@given(ranges)
def test_zero_share_is_a_share_of_the_sampled_axis(axis: LogRange) -> None:
    whole = math.log(axis.high / axis.floor)
    zero = math.log(axis.low / axis.floor)
    assert zero / whole == pytest.approx(axis.zero_share, abs=1e-9)


@given(ranges, st.floats(0, 1))
def test_every_point_of_the_axis_means_a_value_of_the_range(axis: LogRange, place: float) -> None:
    sampled = axis.floor * (axis.high / axis.floor) ** place
    value = axis.decode(min(max(sampled, axis.floor), axis.high))
    assert axis.contains(value)
    assert axis.decode(axis.encode(value)) == value


def test_zero_is_contained_only_where_a_share_of_the_axis_means_it() -> None:
    assert AXIS.contains(0)
    assert not LogRange(low=1.0, high=400.0).contains(0)
    assert not AXIS.contains(0.5)


def test_value_outside_the_range_is_encoded_as_its_nearest_end() -> None:
    assert AXIS.encode(1e9) == 400.0
    assert AXIS.encode(0.5) == 1.0
    assert AXIS.encode(0) == AXIS.floor < 1.0


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"low": 0.0}, "low"),
        ({"low": -1.0}, "low"),
        ({"low": 400.0}, "low"),
        ({"high": math.inf}, "low"),
        ({"zero_share": 1.0}, "zero_share"),
        ({"zero_share": -0.1}, "zero_share"),
    ],
    ids=str,
)
def test_impossible_range_is_refused(changes: dict[str, float], field: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        LogRange(**({"low": 1.0, "high": 400.0} | changes))
    assert caught.value.field == field


def test_space_translates_settings_there_and_back() -> None:
    space = SearchSpace(
        name="s", version=3, alpha=AXIS, beta=LogRange(low=1e-4, high=0.2, zero_share=0.1)
    )
    assert space.id == "s@3"
    for setting in (NO_HAM, PAPER_DEFAULT, Setting(alpha=0.0, beta=0.01)):
        assert space.contains(setting)
        assert space.decode(space.encode(setting)) == setting
    assert not space.contains(Setting(alpha=1000.0, beta=0.01))
    assert SearchSpace.from_json(space.to_json()) == space


@given(st.floats(0, 1))
def test_settings_have_three_digits_so_that_what_is_printed_is_what_was_trained(
    place: float,
) -> None:
    value = AXIS.decode(AXIS.floor * (AXIS.high / AXIS.floor) ** place)
    assert AXIS.contains(value)
    assert float(f"{value:.3g}") == value
