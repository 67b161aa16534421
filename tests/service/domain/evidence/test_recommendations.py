"""Recommendations: which configuration is served, and the message about it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from ham.client.records import Budget, Grade, NewRecommendation, Purpose
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, HamConfig
from service.domain.evidence.recommendations import provisional, recommend, recommend_early
from service.domain.search.surface import MIN_RUNS
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
    """Return the recommendation of a study whose tuned configuration has this gain, by seed."""

    def measure(job: Job) -> tuple[float | None, float | None]:
        if fails(job):
            return None, None
        baseline = 0.90 + 0.01 * (job.seed % 5)
        validation = {tuned: 0.95, OTHER: 0.94}.get(job.setting, 0.92)
        return validation, baseline + (gain(job.seed) if job.setting == tuned else 0)

    return recommend(
        PLAN, whole_study(PLAN, [RECIPE_BASELINE, PAPER_DEFAULT, tuned, OTHER], measure)
    )


def test_clear_gain_is_confirmed_and_its_configuration_served() -> None:
    result = judged()
    assert (result.grade, result.setting, result.candidate) == (Grade.CONFIRMED, TUNED, TUNED)
    assert result.gain is not None and result.gain.low > 0
    assert result.seeds == PLAN.confirmation_seeds
    assert result.accuracy is not None
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
def test_interval_that_includes_zero_or_lies_below_serves_the_baseline(
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
    baseline = next(each for each in result.evidence if each.role == "no HAM")
    assert result.accuracy == baseline.test_accuracy, "the accuracy of what is served"


def test_configuration_that_failed_once_is_not_served_however_good_the_rest() -> None:
    first = PLAN.confirmation_seeds[0]
    result = judged(
        fails=lambda job: (
            (job.purpose, job.setting, job.seed) == (Purpose.CONFIRMATION, TUNED, first)
        )
    )
    assert (result.grade, result.setting) == (Grade.NO_GAIN, RECIPE_BASELINE)
    assert result.gain is not None and result.gain.low > 0
    assert result.seeds == PLAN.confirmation_seeds[1:], "pairs need both sides"
    assert result.message.startswith("HAM is not shown to be safe here: 1 runs")


def test_paper_default_that_diverges_leaves_the_other_results_valid() -> None:
    result = judged(fails=lambda job: job.setting == PAPER_DEFAULT)
    assert result.grade == Grade.CONFIRMED
    assert result.gain_over_paper is None
    paper = next(each for each in result.evidence if each.role == "paper")
    assert (paper.test_accuracy, paper.sparsity) == (None, None)
    assert paper.failed_runs == 2 + 4


def test_paper_default_that_is_selected_is_not_compared_with_itself() -> None:
    result = judged(tuned=PAPER_DEFAULT)
    assert (result.candidate, result.gain_over_paper) == (PAPER_DEFAULT, None)
    assert [each.role for each in result.evidence].count("tuned") == 1


def test_without_two_pairs_there_is_no_judgement() -> None:
    with pytest.raises(StudyFailed, match=r"only 1 pairs.*diverged"):
        judged(
            fails=lambda job: (
                job.purpose == Purpose.CONFIRMATION
                and job.setting == RECIPE_BASELINE
                and job.seed != PLAN.confirmation_seeds[0]
            )
        )


def test_evidence_has_every_configuration_of_screening_and_confirmation_once() -> None:
    result = judged()
    roles = {each.setting: each.role for each in result.evidence}
    known = {TUNED: "tuned", RECIPE_BASELINE: "no HAM", PAPER_DEFAULT: "paper", OTHER: "finalist"}
    assert {ham_config: roles.get(ham_config) for ham_config in known} == known
    assert {role for config, role in roles.items() if config not in known} <= {"finalist"}
    assert len(roles) == len(result.evidence)
    tuned = next(each for each in result.evidence if each.role == "tuned")
    assert tuned.test_accuracies.keys() == set(PLAN.confirmation_seeds)
    assert tuned.sparsity == 0.9
    finalist = next(each for each in result.evidence if each.role == "finalist")
    assert finalist.test_accuracy is None, "test data is spent on the selected alone"


@pytest.mark.parametrize(
    "ham_config, axes",
    [
        (HamConfig(alpha=390.0, beta=0.01), ["alpha"]),
        (HamConfig(alpha=390.0, beta=2.9), ["alpha", "beta"]),
        (HamConfig(alpha=1.05, beta=1e-3), []),  # zero lies beyond, and is tried as well
        (HamConfig(alpha=0.0, beta=0.01), []),
    ],
    ids=str,
)
def test_selected_at_the_boundary_of_the_space_comes_with_a_warning(
    ham_config: HamConfig, axes: list[str]
) -> None:
    warnings = judged(tuned=ham_config).warnings
    own = [text for text in warnings if not text.startswith("the near-optimal")]
    assert [text.split("=")[0] for text in own] == axes


def measured(job: Job) -> tuple[float, float]:
    """A peak at alpha 20, four points above the baseline."""
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
    assert all(each.test_accuracy is None for each in result.evidence)


def test_capped_before_its_confirmation_is_provisional() -> None:
    plan = a_plan(budget=Budget(trials=10, finalists=3, screening_seeds=2))
    whole = whole_study(plan, MANY, measured)
    for kept in (0, 2):
        seeds = plan.confirmation_seeds[:kept]
        runs = [r for r in whole if r.purpose != Purpose.CONFIRMATION or r.seed in seeds]
        assert recommend(plan, runs).grade == Grade.PROVISIONAL
    assert recommend(plan, whole).grade != Grade.PROVISIONAL


def test_study_stopped_in_its_search_serves_the_best_expected_configuration() -> None:
    plan = a_plan(budget=Budget(trials=30))
    result = provisional(plan, search_runs(MANY, measured))
    assert result.grade == Grade.PROVISIONAL
    assert 7 < result.setting.alpha < 60


def test_stopped_with_too_few_runs_says_so() -> None:
    plan = a_plan(budget=Budget(trials=30))
    result = provisional(plan, search_runs(MANY[:4], measured))
    assert result.optimum is None
    assert "too few runs" in result.message


def test_where_no_gain_is_expected_the_baseline_is_served_provisionally() -> None:
    plan = a_plan(budget=Budget(trials=30))
    harmful = [(0.9 if ham_config.is_baseline else 0.89) for ham_config in MANY]
    runs = search_runs(MANY, lambda job: (harmful[job.trial_number or 0], None))
    result = provisional(plan, runs)
    assert result.setting == RECIPE_BASELINE
    assert result.message.endswith("Train without HAM.")


def test_every_grade_has_a_meaning_of_its_own() -> None:
    assert len({grade.meaning for grade in Grade}) == len(Grade)


def test_boundary_warning_names_the_bound_to_search_to() -> None:
    [warning] = judged(tuned=HamConfig(alpha=390.0, beta=0.01)).warnings
    assert warning.endswith("search alpha up to 1000")


def test_a_study_that_ends_early_has_a_recommendation_if_its_runs_give_a_surface() -> None:
    proposed = [HamConfig(alpha=2.0 * 1.4**n, beta=0.01 * 1.2**n) for n in range(10)]
    runs = search_runs(proposed, lambda job: (0.9 + 0.001 * job.setting.alpha, None))
    found = recommend_early(PLAN, runs)
    assert found is not None
    assert (found.grade, found.gain) == (Grade.PROVISIONAL, None)
    assert recommend_early(PLAN, runs[: MIN_RUNS - 1]) is None, "too few for a surface"
    assert recommend_early(PLAN, []) is None
