"""The numbers behind the page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ham.client.records import Estimate
from service.formatting import duration, points
from service.web.home import Axis

finite = st.floats(-1, 1, allow_subnormal=False)


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=5))
def test_axis_holds_every_interval_and_zero(pairs: list[tuple[float, float]]) -> None:
    rows = [Estimate(mean=(a + b) / 2, low=min(a, b), high=max(a, b), n=3) for a, b in pairs]
    axis = Axis.around(rows, 0.0)
    for value in (0.0, *(row.low for row in rows), *(row.high for row in rows)):
        assert 0 < axis.coordinate(value) < 100


@given(finite, finite)
def test_axis_keeps_order(a: float, b: float) -> None:
    axis = Axis(-1.5, 1.5)
    assert (axis.coordinate(a) <= axis.coordinate(b)) or a > b


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.4, "0 s"),
        (59.6, "1 min 00 s"),
        (80, "1 min 20 s"),
        (1900, "31 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_duration_is_as_fine_as_matters(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_points_carry_their_sign() -> None:
    assert (points(0.0211), points(-0.0004), points(0.0)) == ("+2.11", "-0.04", "+0.00")
