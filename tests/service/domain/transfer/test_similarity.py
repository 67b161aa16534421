"""The distance between combinations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ham.config import Combination
from service.domain.transfer.similarity import distance
from tests.service.domain.transfer.combinations import METHODS, combination


@st.composite
def combinations(draw: st.DrawFn) -> Combination:
    return combination(
        draw(st.sampled_from(("digits_cnn", "digits_mlp"))),
        draw(st.sampled_from(METHODS)),
        draw(st.floats(0, 0.99)),
    )


@given(combinations(), combinations())
def test_distance_is_symmetric_and_zero_for_equal_combinations_alone(
    one: Combination, other: Combination
) -> None:
    there, back = distance(one, other), distance(other, one)

    assert there == pytest.approx(back)
    assert there >= 0
    assert distance(one, one) == 0
    if one.model != other.model or one.sparsifier != other.sparsifier:
        assert there > 0
