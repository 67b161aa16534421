"""The stages of a study, over random histories."""

from __future__ import annotations

import math
from collections import Counter
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ham.config import NO_HAM, PAPER_DEFAULT, Setting
from service.domain.stages import finalists, winner
from service.domain.surface import FEWEST_RUNS
from service.errors import StudyFailed
from service.records import Budget, Job, Plan, Purpose, Run
from tests.service.builders import a_plan, a_run
from tests.service.domain.history import confirmation_jobs, screening_jobs, search_runs

History = tuple[Plan, list[Run]]
SPACE = a_plan().space
settings_of_ham = st.builds(
    Setting,
    alpha=st.one_of(st.just(0.0), st.floats(SPACE.alpha.low, SPACE.alpha.high)),
    beta=st.floats(SPACE.beta.low, SPACE.beta.high),
)
accuracies = st.one_of(st.none(), st.floats(0, 1))


@st.composite
def histories(draw: st.DrawFn, longest: int = FEWEST_RUNS - 1) -> History:
    """A plan and the runs of its finished search and screening, some of them failed."""
    budget = Budget(trials=longest, finalists=draw(st.integers(1, 5)), screening_seeds=3)
    plan = a_plan(budget=budget)
    proposed = [NO_HAM, PAPER_DEFAULT, *draw(st.lists(settings_of_ham, max_size=longest - 3))]
    runs = search_runs(proposed, lambda job: (draw(accuracies), None))
    runs.append(a_run(_trial(len(proposed), Setting(alpha=10, beta=0.02)), draw(st.floats(0, 1))))
    runs += [a_run(job, draw(accuracies)) for job in screening_jobs(plan, runs)]
    return plan, runs


def _trial(number: int, setting: Setting) -> Job:
    return Job(purpose=Purpose.SEARCH, setting=setting, seed=0, trial_number=number)


@given(histories())
def test_finalists_are_the_best_settings_with_ham_that_gave_a_result(history: History) -> None:
    plan, runs = history
    best: dict[Setting, float] = {}
    for run in runs:
        if run.purpose == Purpose.SEARCH and run.validation_accuracy is not None:
            known = best.get(run.setting, 0)
            best[run.setting] = max(known, run.validation_accuracy)
    best.pop(NO_HAM, None)
    chosen = finalists(plan, runs)
    assert len(chosen) == len(set(chosen)) == min(plan.budget.finalists, len(best))
    assert set(chosen) <= best.keys()
    assert best[chosen[0]] == max(best.values())


@given(histories())
def test_finalist_close_to_a_better_one_is_taken_only_when_no_other_is_left(
    history: History,
) -> None:
    plan, runs = history
    everyone = finalists(plan.model_copy(update={"budget": Budget(finalists=20)}), runs)
    chosen = finalists(plan, runs)
    assert chosen == everyone[: len(chosen)]
    close = [
        any(_close(one, other) for other in everyone[:place]) for place, one in enumerate(everyone)
    ]
    assert close == sorted(close), "distinct settings first, neighbours after them"


@given(histories())
def test_screening_pairs_every_finalist_and_baseline_with_every_fresh_seed(
    history: History,
) -> None:
    plan, runs = history
    jobs = screening_jobs(plan, runs)
    wanted = {*plan.baselines, *finalists(plan, runs)}
    assert {(job.setting, job.seed) for job in jobs} == {
        (setting, seed) for setting in wanted for seed in plan.screening_seeds
    }
    assert max(Counter(job.name for job in jobs).values()) == 1


@given(histories())
def test_winner_has_the_fewest_failures_then_the_best_mean_validation(history: History) -> None:
    plan, runs = history
    screened = [run for run in runs if run.purpose == Purpose.SCREENING]
    values = {
        setting: [run.validation_accuracy for run in screened if run.setting == setting]
        for setting in finalists(plan, runs)
    }
    if all(value is None for each in values.values() for value in each):
        with pytest.raises(StudyFailed, match="diverged"):
            winner(plan, runs)
        return
    best = winner(plan, runs)
    failures = {setting: each.count(None) for setting, each in values.items()}
    assert failures[best] == min(failures.values())
    means = [
        fmean(value for value in each if value is not None)
        for setting, each in values.items()
        if failures[setting] == failures[best] < len(each)
    ]
    assert fmean(value for value in values[best] if value is not None) == max(means)


@settings(max_examples=50)
@given(histories(), st.data())
def test_choice_never_sees_test_accuracy_nor_the_confirmation(
    history: History, data: st.DataObject
) -> None:
    plan, runs = history
    try:
        best = winner(plan, runs)
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
    by_trial = sorted(tested, key=lambda run: run.trial_number or 0)
    assert finalists(plan, by_trial) == finalists(plan, runs)
    assert winner(plan, by_trial) == best


@given(histories())
def test_confirmation_runs_the_winner_beside_the_baselines_on_further_seeds(
    history: History,
) -> None:
    plan, runs = history
    try:
        best = winner(plan, runs)
    except StudyFailed:
        return
    jobs = confirmation_jobs(plan, runs)
    assert {job.setting for job in jobs} == {best, NO_HAM, PAPER_DEFAULT}
    assert len({job.name for job in jobs}) == len(jobs)
    assert {job.seed for job in jobs} == set(plan.confirmation_seeds)
    assert not {job.seed for job in jobs} & {run.seed for run in runs}


@settings(max_examples=10, deadline=None)
@given(histories(longest=14))
def test_longer_search_is_ranked_by_what_its_surface_expects(history: History) -> None:
    plan, runs = history
    chosen = finalists(plan, runs)
    tried = {
        run.setting
        for run in runs
        if run.purpose == Purpose.SEARCH and run.validation_accuracy is not None
    }
    assert set(chosen) <= tried - {NO_HAM}
    assert len(chosen) == len(set(chosen)) == min(plan.budget.finalists, len(tried - {NO_HAM}))
    assert finalists(plan, runs) == chosen, "a runner that takes over chooses the same"


def test_lucky_run_on_a_poor_slope_does_not_beat_a_good_plateau() -> None:
    """Noise of one point; a true peak at alpha 20; one poor setting drew a lucky seed."""
    plan = a_plan(budget=Budget(trials=30, finalists=1))
    alphas = [2.0 * 1.2**number for number in range(28)]
    noise = [0.01 * math.sin(37.0 * number) for number in range(28)]
    truth = [0.94 - 0.02 * math.log(alpha / 20) ** 2 for alpha in alphas]
    measured = [value + error for value, error in zip(truth, noise, strict=True)]
    measured[25] = max(measured) + 0.002
    runs = [
        a_run(_trial(number, Setting(alpha=alpha, beta=0.01)), accuracy)
        for number, (alpha, accuracy) in enumerate(zip(alphas, measured, strict=True))
    ]
    [chosen] = finalists(plan, runs)
    assert 8 < chosen.alpha < 50


def test_search_without_any_result_fails_with_the_commonest_reason() -> None:
    plan = a_plan()
    runs = search_runs([Setting(alpha=300, beta=0.1)] * 3, lambda job: (None, None))
    with pytest.raises(StudyFailed, match=r"3 runs\): diverged"):
        finalists(plan, runs)
    with pytest.raises(StudyFailed, match="none was run"):
        finalists(plan, [])


def _close(one: Setting, other: Setting) -> bool:
    return all(
        a == b or (a > 0 and b > 0 and max(a / b, b / a) < math.nextafter(1.3, 2))
        for a, b in ((one.alpha, other.alpha), (one.beta, other.beta))
    )
