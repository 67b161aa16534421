"""The surface that configurations are compared by."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ham.client.records import Prior, Run, RunState
from ham.config import HamConfig
from search_spaces import SearchSpace
from service.domain.search.candidates import grid, levels
from service.domain.search.kernel import RunKernel
from service.domain.search.surface import Observation, Surface, fit_surface, observations
from tests.service.builders import a_job, a_plan, a_run

GAP = 0.012
NOISE = GAP / 2


@pytest.fixture
def space() -> SearchSpace:
    return a_plan().space


def truth(ham_config: HamConfig) -> float:
    """A ridge at alpha 30, flat in beta, over a cliff beyond alpha 140."""
    alpha = math.log10(max(ham_config.alpha, 0.5))
    beta = math.log10(max(ham_config.beta, 5e-5))
    peak = math.exp(-(((alpha - 1.5) / 0.5) ** 2) - ((beta + 2) / 1.2) ** 2)
    return 0.96 + GAP * peak - 0.6 / (1 + math.exp(-25 * (alpha - 2.15)))


def searched(space: SearchSpace, seed: int, trials: int = 40) -> list[Run]:
    """A random search whose runs are noisy."""
    draw = random.Random(seed)
    runs = []
    for number in range(trials):
        ham_config = space.decode(
            {
                name: axis.floor * (axis.high / axis.floor) ** draw.random()
                for name, axis in (("alpha", space.alpha), ("beta", space.beta))
            }
        )
        job = a_job(setting=ham_config, trial_number=number, seed=number)
        runs.append(a_run(job, truth(ham_config) + draw.gauss(0, NOISE)))
    return runs


def surface_of(space: SearchSpace, runs: list[Run]) -> Surface:
    return Surface(space, observations(runs))


def test_gradient_of_the_kernel_is_that_of_its_values() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.uniform(size=(12, 4))
    inputs[:, 2] = rng.integers(0, 3, 12)
    kernel = RunKernel()
    values, gradient = kernel(inputs, eval_gradient=True)
    assert np.allclose(kernel.diag(inputs), np.diag(values))
    for number in range(len(kernel.theta)):
        step = np.zeros(len(kernel.theta))
        step[number] = 1e-6
        up, down = (
            kernel.clone_with_theta(kernel.theta + sign * step)(inputs) for sign in (1, -1)
        )
        assert np.allclose((up - down) / 2e-6, gradient[:, :, number], atol=1e-6)


def test_surface_follows_the_truth_within_its_deviation(space: SearchSpace) -> None:
    within = []
    for seed in range(4):
        runs = searched(space, seed, trials=80)
        surface = surface_of(space, runs)
        ham_configs = [run.setting for run in runs if run.setting.alpha < 100]
        away = surface.mean(ham_configs) - [truth(ham_config) for ham_config in ham_configs]
        within += list(np.abs(away) < 2 * surface.deviation(ham_configs))
        assert NOISE / 2 < surface.noise < 2 * NOISE
    assert np.mean(within) > 0.85


def test_deviation_is_the_diagonal_of_the_covariance_and_shrinks_with_runs(
    space: SearchSpace,
) -> None:
    runs = searched(space, seed=1)
    surface = surface_of(space, runs)
    ham_configs = [run.setting for run in runs]
    variances = np.diag(surface.covariance(ham_configs))
    assert np.allclose(
        np.sqrt(np.maximum(variances, 0)), surface.deviation(ham_configs), atol=1e-6
    )
    again = [
        a_run(
            a_job(setting=ham_configs[0], seed=500 + n, trial_number=500 + n),
            truth(ham_configs[0]),
        )
        for n in range(8)
    ]
    replicated = surface_of(space, runs + again)
    assert replicated.deviation(ham_configs[:1])[0] < 0.7 * surface.deviation(ham_configs[:1])[0]


def test_how_far_a_run_collapsed_does_not_matter(space: SearchSpace) -> None:
    runs = searched(space, seed=3)
    middle = median(run.validation_accuracy or 0 for run in runs)
    collapsed = {run.id for run in runs if (run.validation_accuracy or 0) < middle - 8 * NOISE}
    assert collapsed
    deeper = [
        run.model_copy(update={"validation_accuracy": 0.1}) if run.id in collapsed else run
        for run in runs
    ]
    ham_configs = [run.setting for run in runs]
    assert np.allclose(
        surface_of(space, deeper).mean(ham_configs), surface_of(space, runs).mean(ham_configs)
    )


def test_failed_run_keeps_the_surface_down_around_it(space: SearchSpace) -> None:
    runs = searched(space, seed=4)
    best = max(runs, key=lambda run: run.validation_accuracy or 0)
    failed = a_run(a_job(setting=best.setting, seed=999, trial_number=999), None)
    before, after = surface_of(space, runs), surface_of(space, [*runs, failed])
    assert after.mean([best.setting])[0] < before.mean([best.setting])[0] - NOISE / 4


def test_luck_of_a_seed_is_not_taken_for_an_effect_of_the_configuration(
    space: SearchSpace,
) -> None:
    """The second seed is two gaps luckier, and mostly poor configurations were run on it."""
    runs = [
        run.model_copy(update={"seed": 0}) for run in searched(space, seed=5) if run.setting.alpha
    ]
    weak = [HamConfig(alpha=1.5 + 0.1 * n, beta=0.5) for n in range(12)]
    lucky = [
        a_run(a_job(setting=config, seed=1, trial_number=100 + n), truth(config) + 2 * GAP)
        for n, config in enumerate(weak)
    ]
    paired = [
        a_run(
            a_job(setting=run.setting, seed=1, trial_number=200 + n), truth(run.setting) + 2 * GAP
        )
        for n, run in enumerate(runs[:12])
        if run.setting.alpha < 100
    ]
    surface = surface_of(space, runs + lucky + paired)
    peak, poor = surface.mean([HamConfig(alpha=30, beta=0.01), weak[0]])
    assert peak > poor


def test_stopped_run_counts_little_and_never_as_a_full_one(space: SearchSpace) -> None:
    runs = searched(space, seed=6)
    weak = HamConfig(alpha=1.2, beta=0.9)
    stopped = a_run(
        a_job(setting=weak, seed=0, trial_number=900),
        0.999,
        state=RunState.SUCCEEDED,
        epochs_done=3,
    )
    before, after = surface_of(space, runs), surface_of(space, [*runs, stopped])
    full = stopped.model_copy(update={"epochs_done": 15})
    believed = surface_of(space, [*runs, full])
    rise = after.mean([weak])[0] - before.mean([weak])[0]
    assert rise < (believed.mean([weak])[0] - before.mean([weak])[0]) / 3


def test_equal_configurations_and_seeds_are_one_observation() -> None:
    run = a_run(a_job(setting=HamConfig(5, 0.1), seed=3), 0.9)
    twin = run.model_copy(update={"id": "run_other", "study_id": "study_2"})
    lost = run.model_copy(
        update={"state": RunState.FAILED, "validation_accuracy": None, "error": "lost"}
    )
    assert observations([lost, run, twin]) == (Observation(HamConfig(5, 0.1), 3, 0.0, 0.9),)
    under_way = run.model_copy(update={"state": RunState.RUNNING})
    assert observations([under_way]) == ()


@settings(max_examples=5, deadline=None)
@given(st.permutations(range(12)))
def test_surface_does_not_depend_on_the_order_of_the_runs(order: list[int]) -> None:
    space = a_plan().space
    runs = searched(space, seed=7, trials=12)
    shuffled = observations([runs[index] for index in order])
    assert fit_surface(space, shuffled) is fit_surface(space, observations(runs))


def a_prior(space: SearchSpace, gain: Callable[[HamConfig], float]) -> Prior:
    alphas, betas = levels(space.alpha, 12), levels(space.beta, 12)
    gains = [[gain(HamConfig(alpha=alpha, beta=beta)) for beta in betas] for alpha in alphas]
    return Prior(
        neighbours=("a", "b", "c"), alphas=alphas, betas=betas, gains=tuple(map(tuple, gains))
    )


def test_prior_that_agrees_with_the_runs_lowers_the_regret(space: SearchSpace) -> None:
    def similar(ham_config: HamConfig) -> float:
        return 0.8 * (max(truth(ham_config), 0.94) - truth(HamConfig(0, 0)))

    every = grid(space)
    best = max(map(truth, every))
    regrets: dict[bool, list[float]] = {False: [], True: []}
    for seed in range(10):
        seen = observations(searched(space, seed, trials=10))
        for led, own in regrets.items():
            surface = fit_surface(space, seen, a_prior(space, similar) if led else None)
            own.append(best - truth(every[int(np.argmax(surface.mean(every)))]))
    assert np.mean(regrets[True]) < 0.5 * np.mean(regrets[False])


def test_prior_that_the_runs_contradict_is_left_out(space: SearchSpace) -> None:
    def opposite(ham_config: HamConfig) -> float:
        return 5 * (0.97 - truth(ham_config)) if ham_config.alpha < 100 else 0.05

    for seed in range(4):
        seen = observations(searched(space, seed, trials=20))
        own = fit_surface(space, seen)
        led = fit_surface(space, seen, a_prior(space, opposite))
        ham_configs = [each.ham_config for each in seen]
        assert np.array_equal(led.mean(ham_configs), own.mean(ham_configs))


def test_zero_is_a_point_of_the_surface(space: SearchSpace) -> None:
    surface = surface_of(space, searched(space, seed=2))
    zero, weak = surface.mean([HamConfig(0, 0.01), HamConfig(space.alpha.low, 0.01)])
    assert zero == pytest.approx(weak, abs=NOISE)
