"""Recommendations: what is served, and what is said about it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from ham.client.records import Budget, Grade, NewRecommendation, Purpose
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, HamConfig
from service.domain.evidence.recommendations import provisional, recommend, so_far
from service.domain.search.surface import FEWEST_RUNS
from service.errors import StudyFailed
from service.records import Job
from tests.service.builders import a_plan
from tests.service.domain.search.history import search_runs, whole_study

TUNED = HamConfig(alpha=20.0, beta=0.01)
OTHER = HamConfig(alpha=5.0, beta=0.05)
PLAN = a_plan(budget=Budget(trials=4, finalists=2, screening_seeds=2, confirmation_seeds=4))


def judged(
    gain: Callable[[int], float] = lambda seed: 0.02 + 0.001 * (seed % 3),
    fails: Callable[[Job], bool] = lambda job: False,
    tuned: HamConfig = TUNED,
) -> NewRecommendation:
    """Judge a study whose tuned setting has this gain in test accuracy, by seed."""

    def measure(job: Job) -> tuple[float | None, float | None]:
        if fails(job):
            return None, None
        control = 0.90 + 0.01 * (job.seed % 5)
        validation = {tuned: 0.95, OTHER: 0.94}.get(job.setting, 0.92)
        return validation, control + (gain(job.seed) if job.setting == tuned else 0)

    return recommend(
        PLAN, whole_study(PLAN, [RECIPE_BASELINE, PAPER_DEFAULT, tuned, OTHER], measure)
    )


def test_clear_gain_is_confirmed_and_its_setting_served() -> None:
    result = judged()
    assert (result.grade, result.setting, result.candidate) == (Grade.CONFIRMED, TUNED, TUNED)
    assert result.gain.low > 0
    assert result.seeds == PLAN.confirmation_seeds
    assert result.gain.n == result.accuracy.n == len(PLAN.confirmation_seeds)
    assert result.message.startswith("HAM helps: alpha=20, beta=0.01 gains +2.")
    assert f"{result.gain.n} paired seeds" in result.message
    assert result.warnings == ()


@pytest.mark.parametrize(
    "gain, verdict",
    [
        (lambda seed: 0.01 * (-1) ** seed, "HAM is not shown to help here"),
        (lambda seed: 0.0, "HAM is not shown to help here"),
        (lambda seed: -0.02 - 0.001 * (seed % 3), "HAM hurts here"),
    ],
    ids=["mixed", "none", "harm"],
)
def test_interval_that_includes_zero_or_lies_below_serves_no_ham(
    gain: Callable[[int], float], verdict: str
) -> None:
    result = judged(gain)
    assert (result.grade, result.setting, result.candidate) == (
        Grade.NO_GAIN,
        RECIPE_BASELINE,
        TUNED,
    )
    assert result.message.startswith(verdict)
    assert result.message.endswith("Train without HAM.")
    control = next(row for row in result.evidence if row.role == "no HAM")
    assert result.accuracy == control.test_accuracy, "the accuracy of what is served"


def test_setting_that_failed_once_is_not_served_however_good_the_rest() -> None:
    first = PLAN.confirmation_seeds[0]
    result = judged(
        fails=lambda job: (
            (job.purpose, job.setting, job.seed) == (Purpose.CONFIRMATION, TUNED, first)
        )
    )
    assert (result.grade, result.setting) == (Grade.NO_GAIN, RECIPE_BASELINE)
    assert result.gain.low > 0
    assert result.seeds == PLAN.confirmation_seeds[1:], "pairs need both sides"
    assert result.message.startswith("HAM is not shown to be safe here: 1 runs")


def test_paper_default_that_diverges_leaves_the_rest_standing() -> None:
    result = judged(fails=lambda job: job.setting == PAPER_DEFAULT)
    assert result.grade == Grade.CONFIRMED
    assert result.gain_over_paper is None
    paper = next(row for row in result.evidence if row.role == "paper")
    assert (paper.test_accuracy, paper.sparsity) == (None, None)
    assert paper.failed_runs == 2 + 4


def test_paper_default_that_wins_is_not_compared_with_itself() -> None:
    result = judged(tuned=PAPER_DEFAULT)
    assert (result.candidate, result.gain_over_paper) == (PAPER_DEFAULT, None)
    assert [row.role for row in result.evidence].count("tuned") == 1


def test_without_two_pairs_there_is_no_judgement() -> None:
    with pytest.raises(StudyFailed, match=r"only 1 pairs.*diverged"):
        judged(
            fails=lambda job: (
                job.purpose == Purpose.CONFIRMATION
                and job.setting == RECIPE_BASELINE
                and job.seed != PLAN.confirmation_seeds[0]
            )
        )


def test_evidence_holds_every_setting_that_was_re_run_once() -> None:
    result = judged()
    roles = {row.setting: row.role for row in result.evidence}
    known = {TUNED: "tuned", RECIPE_BASELINE: "no HAM", PAPER_DEFAULT: "paper", OTHER: "finalist"}
    assert {setting: roles.get(setting) for setting in known} == known
    assert {role for setting, role in roles.items() if setting not in known} <= {"finalist"}
    assert len(roles) == len(result.evidence)
    tuned = next(row for row in result.evidence if row.role == "tuned")
    assert tuned.test_accuracies.keys() == set(PLAN.confirmation_seeds)
    assert tuned.sparsity == 0.9
    finalist = next(row for row in result.evidence if row.role == "finalist")
    assert finalist.test_accuracy is None, "test data is not spent on those that lost"


@pytest.mark.parametrize(
    "setting, edges",
    [
        (HamConfig(alpha=390.0, beta=0.01), ["alpha"]),
        (HamConfig(alpha=390.0, beta=2.9), ["alpha", "beta"]),
        (HamConfig(alpha=1.05, beta=1e-3), []),  # beyond lies zero, which is tried as well
        (HamConfig(alpha=0.0, beta=0.01), []),
    ],
    ids=str,
)
def test_winner_at_the_edge_of_the_space_comes_with_a_warning(
    setting: HamConfig, edges: list[str]
) -> None:
    told = judged(tuned=setting).warnings
    assert [row.split("=")[0] for row in told if not row.startswith("the near-optimal")] == edges


def measured(job: Job) -> tuple[float, float]:
    """A peak at alpha 20, four points above no HAM."""
    gain = 0.0 if job.setting.is_baseline else 0.04 - 0.01 * abs(math.log(job.setting.alpha / 20))
    return 0.9 + gain + 0.0005 * (job.seed % 3), 0.5


MANY = [RECIPE_BASELINE, PAPER_DEFAULT, *(HamConfig(alpha=2.0**n, beta=0.01) for n in range(8))]


def test_planned_without_confirmation_is_provisional_and_claims_no_gain() -> None:
    plan = a_plan(budget=Budget(trials=10, finalists=3, screening_seeds=2, confirmation_seeds=0))
    result = recommend(plan, whole_study(plan, MANY, measured))
    assert result.grade == Grade.PROVISIONAL
    assert (result.gain, result.accuracy, result.seeds) == (None, None, ())
    assert 7 < result.setting.alpha < 60
    assert result.optimum is not None
    assert result.optimum.expected_gain.low > 0
    assert "validation accuracy" in result.message
    assert "no gain has been measured on held-out seeds" in result.message
    assert all(row.test_accuracy is None for row in result.evidence)


def test_capped_before_its_confirmation_is_provisional() -> None:
    plan = a_plan(budget=Budget(trials=10, finalists=3, screening_seeds=2))
    whole = whole_study(plan, MANY, measured)
    for kept in (0, 2):
        seeds = plan.confirmation_seeds[:kept]
        runs = [r for r in whole if r.purpose != Purpose.CONFIRMATION or r.seed in seeds]
        assert recommend(plan, runs).grade == Grade.PROVISIONAL
    assert recommend(plan, whole).grade != Grade.PROVISIONAL


def test_stopped_in_its_search_serves_the_best_it_expects() -> None:
    plan = a_plan(budget=Budget(trials=30))
    result = provisional(plan, search_runs(MANY, measured))
    assert result.grade == Grade.PROVISIONAL
    assert 7 < result.setting.alpha < 60


def test_stopped_with_too_few_runs_says_so() -> None:
    plan = a_plan(budget=Budget(trials=30))
    result = provisional(plan, search_runs(MANY[:4], measured))
    assert result.optimum is None
    assert "too few runs" in result.message


def test_nothing_to_be_expected_serves_no_ham_even_provisionally() -> None:
    plan = a_plan(budget=Budget(trials=30))
    harmful = [(0.9 if setting.is_baseline else 0.89) for setting in MANY]
    runs = search_runs(MANY, lambda job: (harmful[job.trial_number or 0], None))
    result = provisional(plan, runs)
    assert result.setting == RECIPE_BASELINE
    assert result.message.endswith("Train without HAM.")


def test_every_grade_says_what_it_means() -> None:
    assert len({grade.meaning for grade in Grade}) == len(Grade)


def test_edge_warning_names_the_bound_to_search_to() -> None:
    [warning] = judged(tuned=HamConfig(alpha=390.0, beta=0.01)).warnings
    assert warning.endswith("search alpha up to 1000")


def test_a_study_that_is_given_up_says_what_it_found_where_that_is_enough() -> None:
    settings = [HamConfig(alpha=2.0 * 1.4**n, beta=0.01 * 1.2**n) for n in range(10)]
    runs = search_runs(settings, lambda job: (0.9 + 0.001 * job.setting.alpha, None))
    found = so_far(PLAN, runs)
    assert found is not None
    assert (found.grade, found.gain) == (Grade.PROVISIONAL, None)
    assert so_far(PLAN, runs[: FEWEST_RUNS - 1]) is None, "too few for a surface"
    assert so_far(PLAN, []) is None
