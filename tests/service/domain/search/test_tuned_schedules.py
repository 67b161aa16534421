"""Tuned schedules of alpha and beta: one branch, one surface, and the messages about them."""

from __future__ import annotations

import numpy as np
import pytest

from ham.client.records import Budget, Grade, NewRecommendation
from ham.config import RECIPE_BASELINE, SCHEDULES, HamConfig
from ham.errors import InvalidConfig
from ham.optim.ham_schedules import strength_factor
from search_spaces import SCHEDULED
from search_spaces.space import SCHEDULE_COORDINATES
from service.domain.evidence.recommendations import recommend
from service.domain.search import candidates
from service.domain.search.stages import selected_baseline
from service.formatting import optimum_sentences
from service.records import Job
from service.workers.study.samplers import grid
from tests.service.builders import a_plan
from tests.service.domain.search.history import whole_study

BUDGET = Budget(trials=24, finalists=4, screening_seeds=3, confirmation_seeds=6)
TUNED = a_plan(budget=BUDGET, tune=SCHEDULED)


def test_coordinate_of_a_schedule_is_what_it_takes_off_a_strength() -> None:
    middles = (np.arange(10_000) + 0.5) / 10_000
    for schedule in SCHEDULES:
        taken = [1 - strength_factor(schedule, at) for at in middles]
        measured = float(np.sqrt(np.mean(np.square(taken))))
        assert SCHEDULE_COORDINATES[schedule] == pytest.approx(measured, abs=1e-6)


def test_tuned_schedules_need_no_second_branch() -> None:
    """Without HAM a schedule of alpha or beta changes nothing."""
    plain = a_plan(budget=BUDGET)
    assert TUNED.branches == ("ham",)
    assert TUNED.expected_runs == plain.expected_runs
    assert selected_baseline(TUNED, []) == RECIPE_BASELINE
    assert TUNED.trained_with(HamConfig(20.0, 0.01, alpha_schedule="linear")) == {}


def test_grids_hold_every_schedule() -> None:
    spread = candidates.grid(TUNED.space)
    both = {(s.alpha_schedule, s.beta_schedule) for s in spread if s.alpha and s.beta}
    assert len(both) == len(SCHEDULES) ** 2
    points = grid(a_plan(budget=Budget(trials=40), tune=SCHEDULED, sampler="grid"))
    assert len(points) == 4 * len(SCHEDULES) ** 2 <= 38
    assert {(p["alpha_schedule"], p["beta_schedule"]) for p in points} == both


def test_schedule_that_is_tuned_cannot_be_chosen_as_well() -> None:
    with pytest.raises(InvalidConfig, match="choose a schedule or tune it, not both") as caught:
        a_plan(tune=["beta_schedule"], beta_schedule="cosine")
    assert caught.value.field == "beta_schedule"


@pytest.fixture(scope="module")
def falling_beta_helps() -> NewRecommendation:
    """A world where alpha does little, and beta helps where it goes to 0."""
    rng = np.random.default_rng(4)
    of_seed = rng.normal(0, 0.005, 10_000)

    def measure(job: Job) -> tuple[float, float]:
        _, beta, _, shape = TUNED.space.coordinate(job.setting)
        level = 0.85 + (0.03 if shape else 0.01) * (1 - 4 * (beta - 0.6) ** 2)
        level = level if job.setting.beta else 0.85
        validation, test = level + of_seed[job.seed] + rng.normal(0, 0.002, 2)
        return float(validation), float(test)

    def drawn() -> HamConfig:
        space = TUNED.space
        sampled: dict[str, object] = {
            name: axis.floor * (axis.high / axis.floor) ** rng.uniform()
            for name, axis in space.axes().items()
        }
        sampled |= {name: str(rng.choice(values)) for name, values in space.choices().items()}
        return space.decode(sampled)

    proposed = [drawn() for _ in range(BUDGET.trials)]
    return recommend(TUNED, whole_study(TUNED, proposed, measure))


def test_the_schedule_that_helps_is_found_and_named_in_the_message(
    falling_beta_helps: NewRecommendation,
) -> None:
    found = falling_beta_helps
    assert found.grade == Grade.CONFIRMED
    assert found.setting.beta_schedule in ("linear", "cosine")
    assert found.control == RECIPE_BASELINE and found.gain_over_recipe is None
    assert found.tuned_schedules == SCHEDULED
    assert f"({found.setting.beta_schedule} to 0)" in found.message
    assert "over the baseline without HAM (95 %" in found.message
    assert f"beta {found.setting.beta_schedule} to 0" in found.train_with


def test_optimum_has_the_importance_of_a_schedule(falling_beta_helps: NewRecommendation) -> None:
    optimum = falling_beta_helps.optimum
    assert optimum is not None
    alpha, beta = optimum.alpha_schedule, optimum.beta_schedule
    assert alpha is not None and beta is not None
    assert alpha.importance < 0.1 < beta.importance
    shares = [each.importance for each in (optimum.alpha, optimum.beta, alpha, beta)]
    assert sum(shares) + optimum.interaction == pytest.approx(1)
    own = falling_beta_helps.setting.beta_schedule
    assert beta.change.keys() == set(SCHEDULES) - {own}
    assert beta.change["constant"] == pytest.approx(-0.02, abs=0.01)
    other = next(name for name in beta.change if name != "constant")
    assert abs(beta.change[other]) < 0.005, "linear and cosine are alike"
    text = " ".join(optimum_sentences(optimum))
    assert "beta's schedule alone" in text and "all together" in text
    assert "with beta constant" in text


def test_json_says_which_schedules_were_tuned(falling_beta_helps: NewRecommendation) -> None:
    served = falling_beta_helps.model_dump(mode="json")
    assert served["tuned_schedules"] == [*SCHEDULED]
    assert NewRecommendation.model_validate(served) == falling_beta_helps.model_copy(
        update={"surface": None}
    )
