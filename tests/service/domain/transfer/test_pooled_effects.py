"""Pooled gains of neighbours: the configuration, its interval, the portfolio and the prior."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student

from ham.client.records import SurfaceGrid
from ham.config import RECIPE_BASELINE, Combination, HamConfig, Recipe
from search_spaces import recipe_for, space_for
from service.domain.search.candidates import levels
from service.domain.transfer.pooled_effects import _pool, prior, transfer
from service.domain.transfer.similarity import MIN_NEIGHBOURS, TunedCombination
from tests.service.domain.transfer.combinations import METHODS, combination

RECIPE = recipe_for("digits")
SPACE = space_for("random")


def known(
    where: Combination, peak: float, height: float, recipe: Recipe = RECIPE, error: float = 1e-3
) -> TunedCombination:
    """A combination whose gain is a hill in log alpha around ``peak``, for all values of beta."""
    alphas, betas = levels(SPACE.alpha), levels(SPACE.beta)

    def gain(alpha: float) -> float:
        return height * math.exp(-(math.log(max(alpha, 0.3) / peak) ** 2) / 2)

    mean = tuple(tuple(0.9 + gain(alpha) for _ in betas) for alpha in alphas)
    deviation = tuple(tuple(error for _ in betas) for _ in alphas)
    return TunedCombination(
        where,
        recipe,
        SurfaceGrid(
            alphas=alphas,
            betas=betas,
            mean=mean,
            deviation=deviation,
            near_optimal=0.9,
            candidate=HamConfig(peak, 0.0),
            tried=(),
        ),
    )


def test_neighbours_that_agree_give_their_configuration_and_a_narrow_interval() -> None:
    near = [known(combination(sparsifier=name), peak=20, height=0.01) for name in METHODS]

    found = transfer(combination("digits_mlp"), RECIPE, SPACE, near)

    assert found is not None
    assert 10 < found.ham_config.alpha < 40
    assert found.gain == pytest.approx(0.01, abs=0.001)
    assert found.low > 0


def test_neighbours_that_differ_widen_the_interval() -> None:
    heights = (0.0, 0.02, -0.01, 0.03, 0.0, 0.01)
    near = [
        known(combination(sparsifier=name), peak=20, height=height)
        for name, height in zip(METHODS, heights, strict=True)
    ]

    found = transfer(combination("digits_mlp"), RECIPE, SPACE, near)

    assert found is not None
    assert found.low < 0 < found.high


def test_where_ham_hurt_the_neighbours_the_baseline_is_transferred() -> None:
    near = [known(combination(sparsifier=name), peak=20, height=-0.05) for name in METHODS]

    found = transfer(combination("digits_mlp"), RECIPE, SPACE, near)

    assert found is not None
    assert found.ham_config == RECIPE_BASELINE
    assert found.portfolio == (RECIPE_BASELINE,)


def test_too_few_neighbours_are_refused() -> None:
    near = [known(combination(sparsifier=n), 20, 0.01) for n in METHODS[: MIN_NEIGHBOURS - 1]]
    own = known(combination("digits_mlp"), 20, 0.01)

    assert transfer(combination("digits_mlp"), RECIPE, SPACE, [*near, own]) is None


def test_prior_has_the_gains_of_the_neighbours() -> None:
    near = [known(combination(sparsifier=name), peak=20, height=0.01) for name in METHODS]
    target = combination("digits_mlp")

    found = prior(target, RECIPE, SPACE, near)

    assert found is not None
    assert found.neighbours[0] == near[0].combination.slug
    gains = np.array(found.gains)
    assert gains.shape == (len(found.alphas), len(found.betas))
    assert 10 < found.alphas[int(gains.max(axis=1).argmax())] < 40
    assert gains.max() == pytest.approx(0.01, abs=0.002)
    assert prior(target, RECIPE, SPACE, near[: MIN_NEIGHBOURS - 1]) is None


def test_a_smaller_learning_rate_asks_for_a_larger_alpha() -> None:
    slow = replace(RECIPE, name="slow", learning_rate=RECIPE.learning_rate / 4)
    near = [known(combination(sparsifier=name), peak=20, height=0.01) for name in METHODS]
    target = replace(combination("digits_mlp"), recipe=slow.id)

    found = transfer(target, slow, SPACE, near)

    assert found is not None
    assert 40 < found.ham_config.alpha < 160


def test_the_portfolio_covers_neighbours_with_different_optima() -> None:
    near = [
        known(combination(sparsifier=name), peak=peak, height=0.02)
        for name, peak in zip(METHODS, (3, 3, 3, 200, 200, 200), strict=True)
    ]

    found = transfer(combination("digits_mlp"), RECIPE, SPACE, near)

    assert found is not None
    alphas = [ham_config.alpha for ham_config in found.portfolio]
    assert min(alphas) < 10 and max(alphas) > 100


def test_intervals_contain_the_gain_of_a_further_combination() -> None:
    """True gains scatter around a common one: 95 % of the intervals contain the next one."""
    random = np.random.default_rng(0)
    repeats, neighbours, between, error = 2000, 8, 0.006, 0.004
    truth = random.normal(0.01, between, (repeats, neighbours + 1))
    seen = truth[:, :-1] + random.normal(0, error, (repeats, neighbours))
    variances = np.full((neighbours, 1), error**2)

    widen = student.ppf(0.975, neighbours - 1)
    held = 0
    for gains, further in zip(seen, truth[:, -1], strict=True):
        pooled = _pool(gains[:, None], variances, np.zeros(neighbours))
        held += abs(further - pooled.mean[0]) <= widen * pooled.deviation[0]

    assert 0.93 < held / repeats < 0.98
