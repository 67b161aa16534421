"""Recommendations: what is served, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ham.config import NO_HAM, PAPER_DEFAULT, Setting
from service.domain.recommendations import recommend
from service.errors import StudyFailed
from service.records import Budget, Grade, Job, NewRecommendation, Purpose
from tests.service.builders import a_plan
from tests.service.domain.history import whole_study

TUNED = Setting(alpha=20.0, beta=0.01)
OTHER = Setting(alpha=5.0, beta=0.05)
PLAN = a_plan(budget=Budget(trials=4, finalists=2, screening_seeds=2, confirmation_seeds=4))


def judged(
    gain: Callable[[int], float] = lambda seed: 0.02 + 0.001 * (seed % 3),
    fails: Callable[[Job], bool] = lambda job: False,
    tuned: Setting = TUNED,
) -> NewRecommendation:
    """Judge a study whose tuned setting has this gain in test accuracy, by seed."""

    def measure(job: Job) -> tuple[float | None, float | None]:
        if fails(job):
            return None, None
        control = 0.90 + 0.01 * (job.seed % 5)
        validation = {tuned: 0.95, OTHER: 0.94}.get(job.setting, 0.92)
        return validation, control + (gain(job.seed) if job.setting == tuned else 0)

    return recommend(PLAN, whole_study(PLAN, [NO_HAM, PAPER_DEFAULT, tuned, OTHER], measure))


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
    assert (result.grade, result.setting, result.candidate) == (Grade.NO_GAIN, NO_HAM, TUNED)
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
    assert (result.grade, result.setting) == (Grade.NO_GAIN, NO_HAM)
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
                and job.setting == NO_HAM
                and job.seed != PLAN.confirmation_seeds[0]
            )
        )


def test_evidence_holds_every_setting_that_was_re_run_once() -> None:
    result = judged()
    assert {row.setting: row.role for row in result.evidence} == {
        TUNED: "tuned",
        NO_HAM: "no HAM",
        PAPER_DEFAULT: "paper",
        OTHER: "finalist",
    }
    tuned = next(row for row in result.evidence if row.role == "tuned")
    assert tuned.test_accuracies.keys() == set(PLAN.confirmation_seeds)
    assert tuned.sparsity == 0.9
    finalist = next(row for row in result.evidence if row.role == "finalist")
    assert finalist.test_accuracy is None, "test data is not spent on those that lost"


@pytest.mark.parametrize(
    "setting, edges",
    [
        (Setting(alpha=390.0, beta=0.01), ["alpha"]),
        (Setting(alpha=390.0, beta=0.95), ["alpha", "beta"]),
        (Setting(alpha=1.05, beta=1e-4), []),  # beyond lies zero, which is tried as well
        (Setting(alpha=0.0, beta=0.01), []),
    ],
    ids=str,
)
def test_winner_at_the_edge_of_the_space_comes_with_a_warning(
    setting: Setting, edges: list[str]
) -> None:
    assert [warning.split("=")[0] for warning in judged(tuned=setting).warnings] == edges
