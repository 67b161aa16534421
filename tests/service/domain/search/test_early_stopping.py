"""The early-stopping rules, and when they may stop a trial."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from ham.catalog import SPARSIFIERS
from ham.client.records import Budget, EarlyStopping, Plan
from ham.config import Combination, Recipe
from service.domain.search.early_stopping import (
    MIN_FINISHED,
    RULES,
    History,
    choose_rule,
    judge,
    rank_correlation,
    ready_epoch,
    rungs,
)
from service.domain.search.early_stopping_report import report
from service.formatting import early_stopping_sentence
from service.storage import Storage
from tests.service.builders import a_job, a_plan, an_outcome, claim, metrics, submit

EPOCHS = 15
FIRST_RUNG = 1


def plan_for(rule: EarlyStopping, sparsifier: str = "random") -> Plan:
    return a_plan(sparsifier=sparsifier, budget=Budget(early_stopping=rule))


def training(sparsifier: str, epochs: int) -> tuple[Combination, Recipe]:
    sparsity = 0.9 if SPARSIFIERS.get(sparsifier).takes_sparsity else 0.0
    plan = a_plan(sparsifier=sparsifier, sparsity=sparsity)
    return plan.combination, replace(plan.recipe, epochs=epochs)


def full_trials(count: int, predicts: bool = True) -> dict[int, dict[int, float]]:
    """Trials at full length whose order is the same, or the reverse, after every early epoch."""
    sign = 1 if predicts else -1
    return {
        number: {epoch: 0.5 + sign * 0.01 * number for epoch in range(1, EPOCHS)}
        | {EPOCHS: 0.6 + 0.01 * number}
        for number in range(count)
    }


def history(trials: dict[int, dict[int, float]]) -> History:
    final = {n: curve[EPOCHS] for n, curve in trials.items() if EPOCHS in curve}
    return History(trials, final)


TUNED = [spec.name for spec in SPARSIFIERS if spec.takes_ham]


@pytest.mark.parametrize("sparsifier", TUNED)
@pytest.mark.parametrize("epochs", [1, 2, 15, 100, 200])
def test_no_rung_is_before_the_target_sparsity_nor_at_the_end(
    sparsifier: str, epochs: int
) -> None:
    combination, recipe = training(sparsifier, epochs)
    found = rungs(combination, recipe)
    ready = ready_epoch(combination, recipe)
    assert all(ready <= rung < combination.epochs(recipe) for rung in found)
    assert list(found) == sorted(set(found))


@pytest.mark.parametrize(
    "sparsifier, epochs, ready, expected",
    [
        ("dense", 15, 1, (1, 3, 9)),
        ("rigl", 200, 1, (8, 24, 72)),
        ("gmp", 15, 13, (13,)),
        ("acdc", 100, 86, (86,)),
        ("imp", 10, 111, (111,)),  # pruned by a fifth eleven times: twelve trainings
    ],
)
def test_rungs_begin_when_the_target_sparsity_is_reached(
    sparsifier: str, epochs: int, ready: int, expected: tuple[int, ...]
) -> None:
    combination, recipe = training(sparsifier, epochs)
    assert ready_epoch(combination, recipe) == ready
    assert rungs(combination, recipe) == expected


def test_every_rule_of_the_api_is_in_the_table_of_rules() -> None:
    assert [*RULES] == [*get_args(EarlyStopping)]
    assert get_args(Budget.model_fields["early_stopping"].annotation) == ("auto", *RULES)
    assert [name for name, rule in RULES.items() if rule is None] == ["none"]


STOPPING = [name for name, rule in RULES.items() if rule is not None]


@pytest.mark.parametrize("rule", STOPPING)
@settings(deadline=None)
@given(weak=st.floats(0, 1), trials=st.integers(0, MIN_FINISHED - 1))
def test_first_trials_run_to_full_length_whatever_they_report(
    rule: EarlyStopping, weak: float, trials: int
) -> None:
    seen = full_trials(trials) | {trials: {FIRST_RUNG: weak}}
    assert not judge(plan_for(rule), history(seen), trials, FIRST_RUNG).stop


def test_trial_without_ham_is_compared_with_others_without_it() -> None:
    """Trials with HAM, of even numbers, are better: the baseline is tuned with the same effort."""
    budget = Budget(early_stopping="asha")
    plan = a_plan(budget=budget, tune=["learning_rate"])
    trials = full_trials(11)
    seen = {2 * n + 1: curve for n, curve in trials.items()} | {
        2 * n: {epoch: v + 0.3 for epoch, v in curve.items()} for n, curve in trials.items()
    }
    for better, stops in ((0, False), (3, False), (4, True)):
        seen[23] = {FIRST_RUNG: 0.5 + 0.01 * (10.5 - better)}
        assert judge(plan, history(seen), 23, FIRST_RUNG).stop == stops


def test_asha_keeps_the_best_third_at_a_rung() -> None:
    plan, seen = plan_for("asha"), full_trials(11)
    for better, stops in ((0, False), (1, False), (2, False), (3, False), (4, True), (9, True)):
        seen[11] = {FIRST_RUNG: 0.5 + 0.01 * (10.5 - better)}
        verdict = judge(plan, history(seen), 11, FIRST_RUNG)
        assert verdict.stop == stops
        if stops:
            assert verdict.rank_correlation == pytest.approx(1)


def test_asha_judges_at_rungs_only() -> None:
    plan = plan_for("asha")

    def seen_after(last: int) -> History:
        return history(full_trials(11) | {11: {epoch: 0.0 for epoch in range(1, last + 1)}})

    stopping = [e for e in range(1, EPOCHS) if judge(plan, seen_after(e), 11, e).stop]
    assert stopping == [1, 3, 9]


def test_median_judges_at_every_epoch() -> None:
    seen = full_trials(11) | {11: {epoch: 0.0 for epoch in range(1, EPOCHS)}}
    plan = plan_for("median")
    stopping = [e for e in range(1, EPOCHS) if judge(plan, history(seen), 11, e).stop]
    assert stopping == list(range(1, EPOCHS))
    seen[11][1] = 0.551  # above the median of 0.55 once: good enough from there on
    assert not any(judge(plan, history(seen), 11, e).stop for e in range(1, EPOCHS))


def test_hyperband_stops_later_in_each_bracket_and_never_in_the_last() -> None:
    plan = plan_for("hyperband")
    good = {n: full_trials(1)[0] | {EPOCHS: 0.6 + n / 1000} for n in range(200)}
    for n in good:
        good[n] = {e: 0.5 + n / 1000 for e in range(1, EPOCHS)} | {EPOCHS: 0.6 + n / 1000}
    first_stop = set()
    for number in range(200, 254):
        seen = good | {number: {epoch: 0.0 for epoch in range(1, EPOCHS)}}
        stops = [e for e in range(1, EPOCHS) if judge(plan, history(seen), number, e).stop]
        first_stop.add(stops[0] if stops else None)
    assert first_stop == {1, 3, 9, None}


@pytest.mark.parametrize("rule", STOPPING)
def test_nothing_is_stopped_where_early_epochs_mislead(rule: EarlyStopping) -> None:
    seen = full_trials(12, predicts=False) | {12: {FIRST_RUNG: 0.0}}
    verdict = judge(plan_for(rule), history(seen), 12, FIRST_RUNG)
    assert not verdict.stop


@pytest.mark.parametrize("rule", STOPPING)
@pytest.mark.parametrize("sparsifier", ["gmp", "acdc", "mest"])
def test_nothing_is_stopped_before_the_target_sparsity(
    rule: EarlyStopping, sparsifier: str
) -> None:
    plan = plan_for(rule, sparsifier)
    seen = full_trials(12) | {12: {epoch: 0.0 for epoch in range(1, EPOCHS)}}
    for epoch in range(1, ready_epoch(plan.combination, plan.recipe)):
        assert not judge(plan, history(seen), 12, epoch).stop


def test_rank_correlation_needs_eight_full_trials_that_differ() -> None:
    assert rank_correlation(history(full_trials(7)), 1) is None
    assert rank_correlation(history(full_trials(8)), 1) == pytest.approx(1)
    assert rank_correlation(history(full_trials(8, predicts=False)), 1) == pytest.approx(-1)
    same = {n: {1: 0.5, EPOCHS: 0.6} for n in range(9)}
    assert rank_correlation(history(same), 1) is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=8, max_size=30))
def test_rank_correlation_is_spearmans(pairs: list[tuple[int, int]]) -> None:
    trials = {n: {1: early / 10, EPOCHS: final / 10} for n, (early, final) in enumerate(pairs)}
    found = rank_correlation(history(trials), 1)
    early, final = zip(*pairs, strict=True)
    if len(set(early)) == 1 or len(set(final)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(early, final).statistic)


def test_report_counts_stopped_trials_and_correlates_finished_ones(storage: Storage) -> None:
    study_id = submit(storage, budget=Budget(trials=10, early_stopping="asha"))
    study, lease = claim(storage)
    for number in range(9):
        run = storage.runs.begin(lease, a_job(trial_number=number), EPOCHS)
        storage.runs.end(lease, run.id, an_outcome(EPOCHS, 0.5 + number / 100))
    weak = storage.runs.begin(lease, a_job(trial_number=9), EPOCHS)
    stopped = an_outcome(1, 0.1).model_copy(update={"pruned": True})
    storage.runs.end(lease, weak.id, stopped)
    found = report(study, storage.runs)
    assert study.id == study_id
    assert (found.rule, found.state) == ("asha", "on")
    assert (found.stopped, found.epochs_saved) == (1, EPOCHS - 1)
    assert [(rung.epoch, rung.finished) for rung in found.rungs] == [(1, 9), (3, 9), (9, 9)]
    assert [rung.rank_correlation for rung in found.rungs] == pytest.approx([1.0, 1.0, 1.0])
    assert early_stopping_sentence(found) == (
        "Early stopping (asha) is on where the rank correlation with the final accuracy is at "
        "least 0.7. Trials stopped: 1; epochs saved: 14. Rank correlation: 1.00 after epoch 1 (9 "
        "trials), 1.00 after epoch 3 (9 trials), 1.00 after epoch 9 (9 trials)."
    )


@pytest.mark.parametrize(
    "rule, trials, predicts, state, text",
    [
        ("none", 9, True, "off", "is off. Rank correlation: 1.00 after epoch 1 (9 trials)"),
        ("asha", 7, True, "waiting", "(asha) waits for enough trials at full length."),
        ("asha", 9, False, "switched off", "(asha) has switched itself off"),
        ("median", 9, False, "switched off", "-1.00 after epoch 9 (9 trials)"),
    ],
)
def test_report_says_why_nothing_is_stopped(
    storage: Storage, rule: EarlyStopping, trials: int, predicts: bool, state: str, text: str
) -> None:
    submit(storage, budget=Budget(trials=10, early_stopping=rule))
    study, lease = claim(storage)
    for number, reported in full_trials(trials, predicts).items():
        run = storage.runs.begin(lease, a_job(trial_number=number), EPOCHS)
        curve = tuple(metrics(epoch, accuracy) for epoch, accuracy in reported.items())
        outcome = an_outcome(EPOCHS, reported[EPOCHS]).model_copy(update={"curve": curve})
        storage.runs.end(lease, run.id, outcome)
    found = report(study, storage.runs)
    assert found.state == state
    assert text in early_stopping_sentence(found)


@pytest.mark.parametrize(
    "sparsifier, epochs, rule",
    [
        ("rigl", 100, "asha"),
        ("dense", 50, "asha"),
        ("rigl", 15, "none"),
        ("gmp", 200, "none"),
        ("acdc", 100, "none"),
    ],
)
def test_auto_stops_early_only_in_long_trainings(sparsifier: str, epochs: int, rule: str) -> None:
    combination, recipe = training(sparsifier, epochs)
    assert choose_rule("auto", combination, recipe) == rule
    assert choose_rule("median", combination, recipe) == "median"
