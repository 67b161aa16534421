"""Configurations rescaled from one recipe to another."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ham.config import HamConfig
from search_spaces import recipe_for
from service.domain.transfer.neighbour_gains import rescale

RECIPE = recipe_for("digits")


@given(
    alpha=st.floats(0, 400),
    beta=st.floats(0, 1),
    first=st.floats(1e-4, 1),
    second=st.floats(1e-4, 1),
)
def test_a_rescaled_configuration_does_the_same_in_a_step(
    alpha: float, beta: float, first: float, second: float
) -> None:
    origin, goal = (replace(RECIPE, learning_rate=rate) for rate in (first, second))

    rescaled = rescale(HamConfig(alpha, beta), origin, goal)

    assert rescaled.alpha * second == pytest.approx(alpha * first)
    assert rescaled.beta * second == pytest.approx(beta * first)
