"""The description of the surface around a configuration."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ham.client.records import Optimum, SurfaceGrid
from ham.config import RECIPE_BASELINE, HamConfig
from search_spaces import LogRange
from service.domain.search.candidates import grid, levels
from service.domain.search.optimum import describe_surface, largest_box, variance_shares
from service.domain.search.space_boundary import boundary_hit
from service.domain.search.surface import Observation, Surface
from tests.service.builders import a_plan

SPACE = a_plan().space
BEST = HamConfig(alpha=30.0, beta=0.01)


def described(steepness: float = 0.01, best: HamConfig = BEST) -> tuple[Optimum, SurfaceGrid]:
    """A peak in alpha only, one decade wide; noise of a tenth of a point."""
    draw = random.Random(0)
    seen = []
    for seed, ham_config in enumerate(grid(SPACE)[::11]):
        away = math.log10(max(ham_config.alpha, 0.5) / best.alpha)
        seen.append(
            Observation(ham_config, seed, 0.0, 0.95 - steepness * away**2 + draw.gauss(0, 1e-3))
        )
    seen += [Observation(best, 1000 + n, 0.0, 0.95 + draw.gauss(0, 1e-3)) for n in range(6)]
    return describe_surface(SPACE, Surface(SPACE, seen), seen, best)


def test_region_contains_the_candidate_and_lies_within_one_standard_error() -> None:
    optimum, surface = described()
    assert optimum.alpha.low <= BEST.alpha <= optimum.alpha.high
    assert optimum.beta.low <= BEST.beta <= optimum.beta.high
    inside = [
        surface.mean[row][column] >= surface.near_optimal - 2e-5
        for row, alpha in enumerate(surface.alphas)
        for column, beta in enumerate(surface.betas)
        if optimum.alpha.low <= alpha <= optimum.alpha.high
        and optimum.beta.low <= beta <= optimum.beta.high
    ]
    assert inside and all(inside)


def test_importance_is_high_for_the_parameter_that_matters_alone() -> None:
    optimum, _ = described()
    assert optimum.alpha.importance > 0.8
    assert optimum.beta.importance < 0.1
    total = optimum.alpha.importance + optimum.beta.importance + optimum.interaction
    assert total == pytest.approx(1)
    assert optimum.alpha.change_if_doubled is not None
    assert optimum.alpha.change_if_doubled < 0
    assert optimum.beta.high / max(optimum.beta.low, 1e-5) > 10 * optimum.alpha.high / 30


def test_expected_gain_and_probability_agree_with_the_observations() -> None:
    optimum, surface = described(steepness=0.002)
    gain = optimum.expected_gain
    assert gain.low < gain.mean < gain.high
    assert gain.mean == pytest.approx(0.002 * math.log10(30 / 0.5) ** 2, abs=0.004)
    assert 0 < optimum.best_probability <= 1
    tried = {each.setting: each for each in surface.tried}
    assert tried[BEST].runs == 6
    assert tried[RECIPE_BASELINE].validation_accuracy is not None


def test_worse_configuration_is_less_probably_the_best() -> None:
    here, _ = described()
    there, _ = described(best=HamConfig(alpha=30.0, beta=0.5))
    draw = np.random.default_rng(0)
    seen = [
        Observation(config, seed, 0.0, 0.95 if config == BEST else 0.93 + draw.normal(0, 1e-3))
        for seed, config in enumerate([BEST] * 5 + [HamConfig(2.0**n, 0.1) for n in range(8)] * 2)
    ]
    surface = Surface(SPACE, seen)
    best, _ = describe_surface(SPACE, surface, seen, BEST)
    poor, _ = describe_surface(SPACE, surface, seen, HamConfig(4.0, 0.1))
    assert best.best_probability > 0.9 > 0.05 > poor.best_probability
    assert 0 < here.best_probability and 0 < there.best_probability


@pytest.mark.parametrize(
    "low, high, hit",
    [
        (5.0, 50.0, None),
        (5.0, 400.0, ("high", 1000.0)),
        (390.0, 390.0, ("high", 1000.0)),
        (1.0, 50.0, None),
    ],
)
def test_boundary_is_hit_only_where_the_space_ends(
    low: float, high: float, hit: tuple[str, float] | None
) -> None:
    assert boundary_hit(SPACE.alpha, low, high) == hit


def test_low_end_without_zero_is_a_boundary() -> None:
    assert boundary_hit(LogRange(low=1.0, high=100.0), 1.0, 50.0) == ("low", 0.4)


def test_levels_are_values_that_a_search_can_give() -> None:
    for axis in (SPACE.alpha, SPACE.beta):
        assert levels(axis)[0] == 0 and levels(axis)[-1] == axis.high
        assert all(axis.contains(level) and axis.decode(level) == level for level in levels(axis))


@given(st.data())
def test_box_is_the_largest_one_inside(data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    cells = st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns)
    inside = np.array(data.draw(cells)).reshape(rows, columns)
    here = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    inside[here] = True
    box = largest_box(inside, here)
    every = [
        inside[top:bottom, left:right].size
        for top in range(here[0] + 1)
        for bottom in range(here[0] + 1, rows + 1)
        for left in range(here[1] + 1)
        for right in range(here[1] + 1, columns + 1)
        if inside[top:bottom, left:right].all()
    ]
    assert inside[box].all()
    assert inside[box].size == max(every)


def test_shares_of_the_variance_are_those_of_an_analysis_of_variance() -> None:
    rows, columns = np.meshgrid([0.0, 1.0], [0.0, 1.0], indexing="ij")
    assert variance_shares(rows) == pytest.approx((1, 0, 0))
    assert variance_shares(rows + columns) == pytest.approx((0.5, 0.5, 0))
    assert variance_shares((2 * rows - 1) * (2 * columns - 1)) == pytest.approx((0, 0, 1))
    assert variance_shares(np.ones((2, 2))) == (0, 0, 0)
