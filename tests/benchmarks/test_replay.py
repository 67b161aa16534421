"""Replays: exact on the grid, interpolated between its points, one surface per seed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.replay import CHANCE, IMAGES, Truth, load
from ham.config import HamConfig

ALPHAS, BETAS = (0.0, 1.0, 10.0, 100.0), (0.0, 1e-3, 1e-1)


def correct(alpha: float, beta: float, seed: int, epoch: int) -> int:
    return 300 + 10 * ALPHAS.index(alpha) + 40 * BETAS.index(beta) + 3 * seed + epoch


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    lines = ["combination,alpha,beta,seed,cpu_seconds,test,validation_1,validation_2"]
    for seed in (0, 1, 2):
        for alpha in ALPHAS:
            for beta in BETAS:
                if (seed, alpha, beta) == (2, 100.0, 1e-1):
                    continue  # the recording was stopped here
                counts = [correct(alpha, beta, seed, epoch) for epoch in (0, 1, 2)]
                if (seed, alpha, beta) == (1, 100.0, 1e-1):
                    counts = []  # diverged
                cells = [*map(str, counts)] or ["", "", ""]
                lines.append(",".join(["c", f"{alpha:g}", f"{beta:g}", str(seed), "1", *cells]))
    file = tmp_path_factory.mktemp("truth") / "truth.csv"
    file.write_text("\n".join(lines) + "\n")
    return load(file)["c"]


def test_only_seeds_recorded_on_the_whole_grid_count(truth: Truth) -> None:
    assert truth.seeds == 2


@pytest.mark.parametrize("alpha", ALPHAS[:3])
@pytest.mark.parametrize("beta", BETAS)
def test_configurations_of_the_grid_have_their_recorded_accuracies(
    truth: Truth, alpha: float, beta: float
) -> None:
    for seed in (0, 1):
        curve = truth.curve(HamConfig(alpha, beta), seed)
        assert list(curve) == [correct(alpha, beta, seed, epoch) / IMAGES for epoch in (1, 2)]
    assert list(truth.curve(HamConfig(alpha, beta), 5)) == list(curve)


def test_a_training_that_diverged_is_at_chance(truth: Truth) -> None:
    assert list(truth.curve(HamConfig(100.0, 1e-1), 1)) == [CHANCE, CHANCE]


@settings(deadline=None)
@given(st.floats(1, 10), st.floats(1e-3, 1e-1))
def test_configurations_between_have_accuracies_between(
    truth: Truth, alpha: float, beta: float
) -> None:
    low, high = (truth.curve(HamConfig(*corner), 0)[-1] for corner in ((1, 1e-3), (10, 1e-1)))
    assert low - 1e-9 <= truth.curve(HamConfig(alpha, beta), 0)[-1] <= high + 1e-9


def test_expected_is_the_mean_over_seeds_and_best_its_maximum(truth: Truth) -> None:
    assert truth.expected(HamConfig(1.0, 1e-3)) == pytest.approx(
        sum(correct(1.0, 1e-3, seed, 2) for seed in (0, 1)) / 2 / IMAGES
    )
    assert truth.best >= max(truth.expected(HamConfig(a, b)) for a in ALPHAS for b in BETAS)
