"""How numbers are written for people."""

from __future__ import annotations

import pytest

from service.formatting import amount, duration, points


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


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "–"), (0, "0"), (999, "999"), (999.7, "1 k"), (1_234_567, "1.23 M"), (4e15, "4 P")],
)
def test_amount_has_three_digits(number: float | None, text: str) -> None:
    assert amount(number) == text
