"""The stages of a study, over random histories."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ham.client.records import Budget, Plan, Purpose, Run, RunState
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, HamConfig
from service.domain.search.ranking import surface_of
from service.domain.search.screening_rounds import plan_rounds
from service.domain.search.stages import (
    best_so_far,
    finalists,
    round_count,
    round_jobs,
    screened_candidates,
    selected,
)
from service.domain.search.surface import MIN_RUNS
from service.errors import StudyFailed
from service.records import Job
from tests.service.builders import a_plan, a_run
from tests.service.domain.search.history import (
    confirmation_jobs,
    screening_jobs,
    search_runs,
    with_screening,
)

History = tuple[Plan, list[Run]]
SPACE = a_plan().space
ham_configs = st.builds(
    HamConfig,
    alpha=st.one_of(st.just(0.0), st.floats(SPACE.alpha.low, SPACE.alpha.high)),
    beta=st.floats(SPACE.beta.low, SPACE.beta.high),
)
accuracies = st.one_of(st.none(), st.floats(0, 1))


@st.composite
def searches(draw: st.DrawFn, longest: int = MIN_RUNS - 1) -> History:
    """A plan and the runs of its finished search, some of them failed."""
    budget = Budget(
        trials=longest, finalists=draw(st.integers(1, 5)), screening_seeds=draw(st.integers(1, 3))
    )
    plan = a_plan(budget=budget)
    proposed = [
        RECIPE_BASELINE,
        PAPER_DEFAULT,
        *draw(st.lists(ham_configs, max_size=longest - 3)),
    ]
    runs = search_runs(proposed, lambda job: (draw(accuracies), None))
    runs.append(
        a_run(_trial(len(proposed), HamConfig(alpha=10, beta=0.02)), draw(st.floats(0, 1)))
    )
    return plan, runs


@st.composite
def histories(draw: st.DrawFn, longest: int = MIN_RUNS - 1) -> History:
    """The same with the runs of its finished screening."""
    plan, runs = draw(searches(longest))
    return plan, with_screening(plan, runs, lambda job: (draw(accuracies), None))


def _trial(number: int, ham_config: HamConfig) -> Job:
    return Job(purpose=Purpose.SEARCH, setting=ham_config, seed=0, trial_number=number)


def _screened(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.purpose == Purpose.SCREENING]


@settings(deadline=None, max_examples=15)
@given(searches())
def test_finalists_of_a_short_search_are_the_best_configurations_with_ham(
    history: History,
) -> None:
    plan, runs = history
    best: dict[HamConfig, float] = {}
    for run in runs:
        if run.validation_accuracy is not None:
            best[run.setting] = max(run.validation_accuracy, best.get(run.setting, 0))
    best.pop(RECIPE_BASELINE, None)
    chosen = finalists(plan, runs)
    assert len(chosen) == len(set(chosen)) == min(plan.budget.finalists, len(best))
    assert set(chosen) <= best.keys()
    assert best[chosen[0]] == max(best.values())


@settings(deadline=None, max_examples=15)
@given(searches())
def test_finalist_near_a_better_one_is_taken_only_when_no_other_is_left(
    history: History,
) -> None:
    plan, runs = history
    everyone = finalists(plan.model_copy(update={"budget": Budget(finalists=20)}), runs)
    apart: list[HamConfig] = []
    waiting: list[HamConfig] = []
    for candidate in everyone:
        near = any(_near(candidate, other) for other in apart)
        (waiting if near else apart).append(candidate)
    assert everyone == (*apart, *waiting)


@settings(deadline=None, max_examples=15)
@given(searches())
def test_screening_trains_ever_fewer_candidates_on_fresh_paired_seeds(history: History) -> None:
    plan, runs = history
    seeds: set[int] = set()
    rounds = plan_rounds(plan.budget.finalists, plan.budget.screening_seeds)
    for number, planned in enumerate(rounds):
        jobs = round_jobs(plan, runs, number=number)
        baselines = {
            job.name for job in screening_jobs(plan, runs, 0) if job.setting in plan.baselines
        }
        assert not {job.name for job in jobs} & baselines
        by_config: dict[HamConfig, set[int]] = defaultdict(set)
        for job in jobs:
            by_config[job.setting].add(job.seed)
        assert len(by_config) <= planned.candidates
        candidates = [own for config, own in by_config.items() if config not in plan.baselines]
        assert all(own == candidates[0] for own in candidates), "paired"
        new = candidates[0] if candidates else set()
        assert not new & seeds
        assert new <= set(plan.screening_seeds) - set(plan.confirmation_seeds)
        seeds |= new
        runs = runs + [a_run(job, 0.5) for job in screening_jobs(plan, runs, number)]


def test_a_configuration_that_failed_on_a_fresh_seed_leaves_the_screening() -> None:
    plan = a_plan(budget=Budget(trials=12, finalists=4, screening_seeds=3))
    proposed = [HamConfig(alpha=2.0 * 1.5**n, beta=0.01 * 1.3**n) for n in range(12)]
    runs = search_runs(proposed, lambda job: (0.9 - 0.001 * job.setting.alpha, None))
    fragile = finalists(plan, runs)[0]

    def measure(job: Job) -> tuple[float | None, None]:
        return None if job.setting == fragile else 0.9, None

    runs = with_screening(plan, runs, measure)
    assert sum(run.setting == fragile for run in _screened(runs)) == 1
    assert selected(plan, runs) != fragile


@settings(deadline=None, max_examples=15)
@given(histories())
def test_screening_jobs_do_not_depend_on_when_they_are_asked_for(history: History) -> None:
    plan, runs = history
    by_name = sorted(runs, key=lambda run: run.id)
    assert finalists(plan, by_name) == finalists(plan, runs)
    for number in range(round_count(plan)):
        seeds = [job.seed for job in round_jobs(plan, runs, number=number)]
        if not seeds:  # only baselines are left, which run anyway
            continue
        before = [run for run in runs if run.purpose == Purpose.SEARCH or run.seed < min(seeds)]
        assert round_jobs(plan, before, number=number) == round_jobs(plan, by_name, number=number)


@settings(deadline=None, max_examples=15)
@given(histories())
def test_screening_never_trains_more_than_was_planned(history: History) -> None:
    plan, runs = history
    baselines = len(plan.baselines) * plan.budget.screening_seeds
    most = plan.budget.finalists * plan.budget.screening_seeds + baselines
    assert len(_screened(runs)) <= most
    assert max(Counter(run.id for run in runs).values()) == 1


@settings(deadline=None, max_examples=15)
@given(histories())
def test_selected_has_a_result_the_fewest_failures_then_the_best_mean(history: History) -> None:
    plan, runs = history
    values = {
        candidate: [run.validation_accuracy for run in _screened(runs) if run.setting == candidate]
        for candidate in screened_candidates(plan, runs)
    }
    if all(value is None for each in values.values() for value in each):
        with pytest.raises(StudyFailed, match="diverged"):
            selected(plan, runs)
        return
    best = selected(plan, runs)
    assert best == best_so_far(plan, runs)
    failures = {
        candidate: each.count(None)
        for candidate, each in values.items()
        if any(value is not None for value in each)
    }
    assert failures[best] == min(failures.values())
    if surface_of(plan, runs) is not None:
        return  # then the surface decides
    means = [
        fmean(value for value in values[candidate] if value is not None)
        for candidate, failed in failures.items()
        if failed == failures[best]
    ]
    assert fmean(value for value in values[best] if value is not None) == max(means)


@settings(deadline=None, max_examples=15)
@given(histories(), st.data())
def test_selection_sees_neither_test_accuracy_nor_the_confirmation(
    history: History, data: st.DataObject
) -> None:
    plan, runs = history
    try:
        best = selected(plan, runs)
    except StudyFailed:
        return
    confirmed = [
        a_run(job, data.draw(accuracies), data.draw(st.floats(0, 1)))
        for job in confirmation_jobs(plan, runs)
    ]
    tested = [
        run.model_copy(update={"test_accuracy": data.draw(st.floats(0, 1))})
        for run in data.draw(st.permutations([*runs, *confirmed]))
    ]
    assert finalists(plan, tested) == finalists(plan, runs)
    assert selected(plan, tested) == best
    assert selected(plan, runs, earlier=confirmed) == best, "nor that of earlier studies"


@settings(deadline=None, max_examples=15)
@given(histories())
def test_confirmation_trains_the_selected_and_the_baselines_on_further_seeds(
    history: History,
) -> None:
    plan, runs = history
    try:
        best = selected(plan, runs)
    except StudyFailed:
        return
    jobs = confirmation_jobs(plan, runs)
    assert {job.setting for job in jobs} == {best, RECIPE_BASELINE, PAPER_DEFAULT}
    assert len({job.name for job in jobs}) == len(jobs)
    assert {job.seed for job in jobs} == set(plan.confirmation_seeds)
    assert not {job.seed for job in jobs} & {run.seed for run in runs}


@settings(max_examples=10, deadline=None)
@given(searches(longest=14))
def test_finalists_of_a_longer_search_are_configurations_of_the_space(history: History) -> None:
    plan, runs = history
    chosen = finalists(plan, runs)
    assert all(SPACE.contains(finalist) and not finalist.is_baseline for finalist in chosen)
    assert len(chosen) == len(set(chosen))
    assert finalists(plan, runs[::-1]) == chosen, "a runner that takes over chooses the same"


def test_earlier_studies_of_the_combination_inform_the_surface() -> None:
    """Four own runs are too few for a surface; earlier studies found a peak at alpha 30."""
    plan = a_plan(budget=Budget(trials=4, finalists=1))
    own = search_runs(
        [HamConfig(alpha=2.0**n, beta=0.01) for n in range(4)], lambda _: (0.9, None)
    )
    peak = [
        a_run(
            Job(purpose=Purpose.SCREENING, setting=HamConfig(alpha=alpha, beta=0.01), seed=seed),
            0.95 - 0.03 * math.log(alpha / 30) ** 2 + 0.001 * (seed % 2),
        )
        for alpha in (3, 7, 15, 30, 60, 120)
        for seed in (1000, 1001)
    ]
    assert surface_of(plan, own) is None
    assert finalists(plan, own)[0].alpha <= 8
    assert 15 <= finalists(plan, own, earlier=peak)[0].alpha <= 60


def test_earlier_runs_outside_of_the_space_do_not_count_as_at_its_boundary() -> None:
    """A study of an older, wider version of the space found a peak beyond today's high end."""
    plan = a_plan(budget=Budget(trials=10, finalists=1))
    own = search_runs(
        [HamConfig(alpha=2.0**n, beta=0.01) for n in range(9)], lambda job: (0.8, None)
    )
    beyond = [
        a_run(
            Job(purpose=Purpose.SCREENING, setting=HamConfig(alpha=4000, beta=0.01), seed=seed),
            0.99,
        )
        for seed in (1000, 1001)
    ]
    surface, same = surface_of(plan, own), surface_of(plan, own, earlier=beyond)
    assert surface is not None and surface is same


def test_lucky_run_on_a_poor_slope_does_not_beat_a_good_plateau() -> None:
    """Noise of one point; a true peak at alpha 20; one poor configuration had a lucky run."""
    plan = a_plan(budget=Budget(trials=30, finalists=1))
    alphas = [2.0 * 1.2**number for number in range(28)]
    noise = [0.01 * math.sin(37.0 * number) for number in range(28)]
    truth = [0.94 - 0.02 * math.log(alpha / 20) ** 2 for alpha in alphas]
    measured = [value + error for value, error in zip(truth, noise, strict=True)]
    measured[25] = max(measured) + 0.002
    runs = [
        a_run(_trial(number, HamConfig(alpha=alpha, beta=0.01)), accuracy)
        for number, (alpha, accuracy) in enumerate(zip(alphas, measured, strict=True))
    ]
    [chosen] = finalists(plan, runs)
    assert 8 < chosen.alpha < 50


def test_search_without_any_result_fails_with_the_commonest_reason() -> None:
    plan = a_plan()
    runs = search_runs([HamConfig(alpha=300, beta=0.1)] * 3, lambda job: (None, None))
    with pytest.raises(StudyFailed, match=r"3 runs\): diverged"):
        finalists(plan, runs)
    with pytest.raises(StudyFailed, match="none was run"):
        finalists(plan, [])


def test_search_of_baselines_alone_has_no_finalists() -> None:
    runs = search_runs([RECIPE_BASELINE], lambda job: (0.9, None))
    with pytest.raises(StudyFailed, match="no configuration with HAM"):
        finalists(a_plan(), runs)


def _near(one: HamConfig, other: HamConfig) -> bool:
    return all(
        abs(axis.coordinate(a) - axis.coordinate(b)) < 0.12
        for axis, a, b in (
            (SPACE.alpha, one.alpha, other.alpha),
            (SPACE.beta, one.beta, other.beta),
        )
    )


def test_states_other_than_succeeded_are_no_results() -> None:
    """A run that was stopped or failed after it looked best gives no finalist."""
    plan = a_plan(budget=Budget(trials=3, finalists=3))
    runs = search_runs(
        [HamConfig(alpha=2.0**n, beta=0.01) for n in range(3)], lambda _: (0.5, None)
    )
    for state in RunState:
        first = runs[0].model_copy(update={"state": state, "validation_accuracy": 0.99})
        chosen = finalists(plan, [first, *runs[1:]])
        assert (first.setting in chosen) == (state == RunState.SUCCEEDED)


def test_errored_or_stopped_runs_are_never_selected_in_a_thousand_random_histories() -> None:
    plan = a_plan(budget=Budget(trials=4, finalists=2, screening_seeds=1))
    ended = [state for state in RunState if state != RunState.RUNNING]
    for number in range(1000):
        draw = random.Random(number)

        def measure(job: Job, draw: random.Random = draw) -> tuple[float | None, None]:
            return draw.random(), None

        def spoiled(run: Run, draw: random.Random = draw) -> Run:
            state = draw.choice(ended)
            if state == RunState.SUCCEEDED:
                return run
            return run.model_copy(
                update={"state": state, "validation_accuracy": 1 + draw.random(), "epochs_done": 3}
            )

        search = search_runs([HamConfig(alpha=2.0**n, beta=0.01) for n in range(4)], measure)
        search = [search[0], *map(spoiled, search[1:])]
        finished = {run.setting for run in search if run.state == RunState.SUCCEEDED}
        assert set(finalists(plan, search)) <= finished
        runs = search + [
            spoiled(run) for run in with_screening(plan, search, measure)[len(search) :]
        ]
        screened = {run.setting for run in _screened(runs) if run.state == RunState.SUCCEEDED}
        try:
            assert selected(plan, runs) in screened
        except StudyFailed:
            assert not screened & set(screened_candidates(plan, runs))
