"""Learning rate and weight decay beside alpha and beta: the baseline is tuned as HAM is."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest

from ham.client.records import Budget, Grade, NewRecommendation, Plan, Purpose, Run
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, HamConfig, Recipe
from ham.errors import InvalidConfig
from search_spaces import JOINT, Branch, space_for
from service.domain.evidence.recommendations import provisional, recommend
from service.domain.planning import plans
from service.domain.planning.stage_sizes import MIN_TRIALS, stage_sizes
from service.domain.search import ranking
from service.domain.search.ranking import observations_of
from service.domain.search.stages import selected, selected_baseline
from service.formatting import optimum_sentences
from service.records import Job
from tests.service.builders import a_plan
from tests.service.domain.search.history import Measure, search_runs, whole_study, with_screening

OF_SEED, OF_RUN = 0.01, 0.005
SMALL = Budget(trials=3, finalists=2, screening_seeds=2, confirmation_seeds=8)
JOINTLY = a_plan(budget=SMALL, tune=JOINT)
PLAIN = a_plan(budget=SMALL)
WITH_HAM = [PAPER_DEFAULT, HamConfig(20.0, 0.01), HamConfig(60.0, 0.01)]
BASELINES = [
    RECIPE_BASELINE,
    replace(RECIPE_BASELINE, learning_rate=2.0),
    replace(RECIPE_BASELINE, learning_rate=4.0),
]
ALTERNATING = [each for pair in zip(WITH_HAM, BASELINES, strict=True) for each in pair]

Level = Callable[[HamConfig], float]


def only_a_learning_rate(ham_config: HamConfig) -> float:
    """HAM has only the effect of a larger learning rate: the best is twice the recipe's."""
    rate = math.log(ham_config.learning_rate) + math.log1p(ham_config.alpha / 20)
    return 0.95 - 0.04 * (rate - math.log(2)) ** 2


def something_of_its_own(ham_config: HamConfig) -> float:
    return only_a_learning_rate(ham_config) + (0.0 if ham_config.is_baseline else 0.02)


def luck(rng: np.random.Generator, level: Level) -> Measure:
    """Runs are noisy, and so are seeds, for all configurations alike."""
    of_seed = rng.normal(0, OF_SEED, 10_000)

    def measure(job: Job) -> tuple[float, float]:
        validation, test = level(job.setting) + of_seed[job.seed] + rng.normal(0, OF_RUN, 2)
        return float(validation), float(test)

    return measure


def judged(
    level: Level,
    repetitions: int,
    plan: Plan = JOINTLY,
    proposed: Sequence[HamConfig] = ALTERNATING,
) -> list[NewRecommendation]:
    rng = np.random.default_rng(0)
    return [
        recommend(plan, whole_study(plan, proposed, luck(rng, level))) for _ in range(repetitions)
    ]


@pytest.fixture
def by_means(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank by mean accuracies without a surface, so that thousands of studies take seconds."""
    monkeypatch.setattr(ranking, "MIN_RUNS", 1_000_000)


def share_confirmed(found: Sequence[NewRecommendation]) -> float:
    return fmean(each.grade == Grade.CONFIRMED for each in found)


def test_ham_that_only_mimics_a_learning_rate_is_confirmed_as_seldom_as_promised(
    by_means: None,
) -> None:
    repetitions = 300
    found = judged(only_a_learning_rate, repetitions)
    gains = [each.gain.mean for each in found if each.gain]
    assert abs(fmean(gains)) < 0.1 * OF_RUN
    assert share_confirmed(found) < 0.025 + 3 * math.sqrt(0.025 * 0.975 / repetitions)
    assert all(each.gain_over_recipe.mean > 0 for each in found if each.gain_over_recipe)
    assert fmean(each.setting == BASELINES[1] for each in found) > 0.8, "the tuned baseline"


def test_the_same_ham_is_confirmed_where_only_alpha_and_beta_are_tuned(by_means: None) -> None:
    """The check above can fail: over the recipe baseline the same world looks like a gain."""
    assert share_confirmed(judged(only_a_learning_rate, 100, PLAIN, WITH_HAM)) > 0.8


def test_ham_with_an_effect_of_its_own_is_confirmed_over_the_tuned_baseline(
    by_means: None,
) -> None:
    found = judged(something_of_its_own, 100)
    assert share_confirmed(found) > 0.95
    assert fmean(each.gain.mean for each in found if each.gain) == pytest.approx(0.02, abs=0.002)
    first = found[0]
    assert (first.setting, first.control) == (WITH_HAM[1], BASELINES[1])
    assert (first.learning_rate, first.weight_decay) == (0.1, 5e-4), "those of the recipe are best"
    tuned_baseline = "the tuned baseline without HAM (learning rate 0.2, weight decay 0.0005)"
    assert f"over {tuned_baseline}" in first.message
    assert "over the recipe baseline" in first.message


def test_ham_that_loses_to_the_recipe_baseline_is_not_confirmed(by_means: None) -> None:
    """Validation data may select a poor baseline; to beat that one alone is not enough."""
    mistaken = BASELINES[2]

    def measure(job: Job) -> tuple[float, float]:
        validation = {WITH_HAM[1]: 0.9, mistaken: 0.9}.get(job.setting, 0.8)
        test = {WITH_HAM[1]: 0.9, mistaken: 0.8}.get(job.setting, 0.95)
        return validation, test + 0.0001 * (job.seed % 3) * job.setting.learning_rate

    found = recommend(JOINTLY, whole_study(JOINTLY, ALTERNATING, measure))
    assert (found.control, found.grade, found.setting) == (
        mistaken,
        Grade.NO_GAIN,
        RECIPE_BASELINE,
    )
    assert found.gain is not None and found.gain.low > 0
    assert found.gain_over_recipe is not None and found.gain_over_recipe.high < 0
    assert found.compared == (mistaken, WITH_HAM[1], RECIPE_BASELINE)
    roles = {each.setting: each.role for each in found.evidence}
    assert roles[RECIPE_BASELINE] == "no HAM, recipe"
    assert (roles[mistaken], roles[WITH_HAM[1]]) == ("no HAM", "tuned")


def _branches(runs: Sequence[Run], purpose: Purpose) -> tuple[list[Run], list[Run]]:
    stage = [run for run in runs if run.purpose == purpose]
    return [r for r in stage if not r.setting.is_baseline], [
        r for r in stage if r.setting.is_baseline
    ]


def test_both_branches_have_the_same_number_of_trainings_on_the_same_seeds() -> None:
    budget = Budget(trials=6, finalists=3, screening_seeds=3, confirmation_seeds=4)
    plan = a_plan(budget=budget, tune=["learning_rate"])
    proposed = [
        ham_config
        for number in range(6)
        for ham_config in (
            HamConfig(2.0**number, 0.01, learning_rate=1.5),
            replace(RECIPE_BASELINE, learning_rate=1.1**number * 0.5),
        )
    ]
    runs = whole_study(plan, proposed, luck(np.random.default_rng(1), something_of_its_own))
    assert len(runs) == sum(stage_sizes(budget, plan.baselines, 2)) == plan.expected_runs
    assert plan.search_trials == 12
    for purpose in (Purpose.SEARCH, Purpose.SCREENING):
        treated, baselines = _branches(
            [
                run
                for run in runs
                if purpose == Purpose.SEARCH or run.setting not in plan.baselines
            ],
            purpose,
        )
        assert len(treated) == len(baselines)
        seeds: dict[int, Counter[bool]] = defaultdict(Counter)
        for run in [*treated, *baselines]:
            seeds[run.seed][run.setting.is_baseline] += 1
        assert all(own[True] == own[False] for own in seeds.values())
    confirmed = {run.setting for run in runs if run.purpose == Purpose.CONFIRMATION}
    assert confirmed == {
        RECIPE_BASELINE,
        PAPER_DEFAULT,
        selected(plan, runs),
        selected_baseline(plan, runs),
    }


def test_a_limit_of_epochs_leaves_both_branches_their_fewest_trials() -> None:
    sizes = stage_sizes(SMALL, JOINTLY.baselines, 2)
    needed = (2 * MIN_TRIALS + sizes.screening + sizes.confirmation) * JOINTLY.run_epochs
    budget = SMALL.model_copy(update={"max_epochs": needed})
    assert a_plan(budget=budget, tune=JOINT).expected_epochs == needed
    with pytest.raises(InvalidConfig, match="6 search trials"):
        a_plan(budget=budget.model_copy(update={"max_epochs": needed - 1}), tune=JOINT)


def test_axis_that_the_space_does_not_declare_cannot_be_tuned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare = replace(space_for("random"), learning_rate=None, schedules=("constant",))
    monkeypatch.setattr(plans, "space_for", lambda *_: bare)
    with pytest.raises(
        InvalidConfig, match="at_initialization@3 declares: weight_decay"
    ) as caught:
        a_plan(tune=["learning_rate"])
    assert caught.value.field == "tune"
    with pytest.raises(InvalidConfig, match="declares: constant") as caught:
        a_plan(beta_schedule="cosine")
    assert caught.value.field == "beta_schedule"


def test_weight_decay_of_a_recipe_without_any_cannot_be_tuned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = Recipe(name="digits", version=1, epochs=2, batch_size=8, learning_rate=0.1)
    monkeypatch.setattr(plans, "recipe_for", lambda *_: recipe)
    assert a_plan(tune=["learning_rate"]).space.tune == ("learning_rate",)
    with pytest.raises(InvalidConfig, match="multiples"):
        a_plan(tune=["weight_decay"])


@pytest.fixture(scope="module")
def on_a_surface() -> NewRecommendation:
    """A study with runs enough for a surface over alpha, beta and learning rate."""
    rng = np.random.default_rng(2)
    budget = Budget(trials=14, finalists=3, screening_seeds=1, confirmation_seeds=6)
    plan = a_plan(budget=budget, tune=["learning_rate"])

    def drawn(branch: Branch) -> HamConfig:
        axes = plan.space.axes(branch=branch).items()
        at = {name: axis.floor * (axis.high / axis.floor) ** rng.uniform() for name, axis in axes}
        return plan.space.decode(at)

    proposed = [drawn(branch) for _ in range(budget.trials) for branch in plan.branches]
    runs = whole_study(plan, proposed, luck(rng, something_of_its_own))
    return recommend(plan, runs)


def test_surface_spans_all_tuned_axes_and_finds_the_best_of_either_branch(
    on_a_surface: NewRecommendation,
) -> None:
    found = on_a_surface
    assert only_a_learning_rate(found.control) > 0.94
    assert something_of_its_own(found.candidate) > 0.96
    assert found.grade == Grade.CONFIRMED
    optimum = found.optimum
    assert optimum is not None and optimum.learning_rate is not None
    assert optimum.weight_decay is None
    assert optimum.learning_rate.low <= found.candidate.learning_rate <= optimum.learning_rate.high
    assert optimum.learning_rate.importance > 0.1 > optimum.beta.importance
    assert any("learning rate" in sentence for sentence in optimum_sentences(optimum))


def test_recommendation_of_a_joint_study_says_so_in_its_json(
    on_a_surface: NewRecommendation,
) -> None:
    served = on_a_surface.model_dump(mode="json")
    assert NewRecommendation.model_validate(served) == on_a_surface.model_copy(
        update={"surface": None}
    )
    assert served["learning_rate"] == 0.1 * on_a_surface.candidate.learning_rate
    assert served["control"]["learning_rate"] == on_a_surface.control.learning_rate
    assert "weight_decay" not in served
    assert on_a_surface.is_joint
    plain = judged(something_of_its_own, 1, PLAIN, WITH_HAM)[0]
    assert not plain.is_joint
    assert not {"learning_rate", "weight_decay", "control", "gain_over_recipe"} & (
        plain.model_dump(mode="json").keys()
    )


def test_tuned_baseline_at_the_boundary_comes_with_a_warning(by_means: None) -> None:
    proposed = [*ALTERNATING[:-1], replace(RECIPE_BASELINE, learning_rate=5.0)]

    def measure(job: Job) -> tuple[float, float]:
        return 0.9 + 0.001 * job.setting.learning_rate, 0.9

    runs = with_screening(JOINTLY, search_runs(proposed, measure), measure)
    warnings = provisional(JOINTLY, runs).warnings
    (warning,) = [text for text in warnings if "the tuned baseline" in text]
    assert "learning_rate=5 times the recipe's" in warning
    assert "gain of HAM would then be smaller" in warning


def test_runs_at_other_learning_rates_or_schedules_are_no_observations_of_a_plain_space() -> None:
    flat = lambda job: (0.9, None)  # noqa: E731
    own = [HamConfig(20.0, 0.01), RECIPE_BASELINE]
    foreign = [
        HamConfig(20.0, 0.01, learning_rate=2.0),
        replace(RECIPE_BASELINE, weight_decay=3.0),
        HamConfig(20.0, 0.01, alpha_schedule="cosine"),
    ]
    runs = search_runs([*own, *foreign], flat)
    assert {each.ham_config for each in observations_of(PLAIN, runs)} == set(own)
    assert {each.ham_config for each in observations_of(JOINTLY, runs)} == {*own, *foreign[:2]}
    falling = a_plan(alpha_schedule="cosine")
    assert {each.ham_config for each in observations_of(falling, runs)} == {
        RECIPE_BASELINE,
        foreign[2],
    }


def test_schedule_holds_for_all_configurations_with_ham_and_for_the_recommended_one(
    by_means: None,
) -> None:
    plan = a_plan(budget=SMALL, alpha_schedule="cosine", beta_schedule="linear")
    space = plan.space
    decoded = space.decode(space.encode(HamConfig(20.0, 0.01)))
    assert (decoded.alpha_schedule, decoded.beta_schedule) == ("cosine", "linear")
    assert space.decode(space.encode(RECIPE_BASELINE)) == RECIPE_BASELINE
    assert space.decode(space.encode(HamConfig(20.0, 0.0))).joint == {"alpha_schedule": "cosine"}
    proposed = [space.with_schedules(each) for each in WITH_HAM]
    (found,) = judged(something_of_its_own, 1, plan, proposed)
    assert found.candidate == proposed[1]
    assert "alpha=20 (cosine to 0), beta=0.01 (linear to 0)" in found.message
    assert found.train_with == ("alpha cosine to 0", "beta linear to 0")
    paper = next(each for each in found.evidence if each.role == "paper")
    assert paper.setting == PAPER_DEFAULT, "as its authors trained it"
