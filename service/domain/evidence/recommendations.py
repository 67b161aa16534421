"""From the runs of a study to a recommendation with its evidence."""

from __future__ import annotations

from collections.abc import Sequence

from ham.client.records import (
    Estimate,
    Evidence,
    Grade,
    NewRecommendation,
    Optimum,
    Plan,
    Purpose,
    Run,
    SurfaceGrid,
)
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, HamConfig
from service.domain.evidence.environments import environment_labels
from service.domain.evidence.messages import boundary_warnings, message, provisional_message
from service.domain.evidence.statistics import estimate, paired_gain
from service.domain.search.optimum import describe_surface
from service.domain.search.ranking import (
    commonest_error,
    observations_of,
    runs_for,
    succeeded,
    surface_of,
)
from service.domain.search.stages import best_so_far, selected, selected_baseline
from service.errors import StudyFailed

MIN_PAIRS = 3
"""Pairs of runs that a gain needs. Accuracies count images, so that two pairs are too often equal
by chance, and their interval has length zero."""
MIN_RUNS_OF_AN_INTERVAL = 2


def recommend(plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = ()) -> NewRecommendation:
    """Return the recommendation of a study that has run to its end.

    The gain is that of test accuracy over the baseline, without HAM, paired by seed. Where its
    95 % interval includes zero, HAM is not shown to help, and the baseline is served. The
    recommendation is provisional where the study was planned without a confirmation, or a cap
    ended it before three pairs.

    Where the study tuned learning rate or weight decay, the gain is over the tuned baseline, and
    HAM must also be shown to gain over the recipe baseline. The tuned baseline is served in place
    of the recipe baseline only where it is shown to be better.

    Args:
        plan: the plan of the study.
        runs: the study's own.
        earlier: those of earlier studies of the combination; they inform the surface.

    Raises:
        StudyFailed: fewer than three pairs of runs gave a result.
    """
    if not plan.confirmation_seeds:
        return provisional(plan, runs, earlier)
    candidate, baseline = selected(plan, runs, earlier), selected_baseline(plan, runs, earlier)
    confirmation = runs_for(runs, Purpose.CONFIRMATION)
    evidence = _all_evidence(runs, candidate, baseline)
    accuracies = {each.setting: each.test_accuracies for each in evidence}
    treated, untreated = accuracies.get(candidate, {}), accuracies.get(baseline, {})
    pairs = treated.keys() & untreated.keys()
    if len(pairs) < MIN_PAIRS:
        both = [run for run in confirmation if run.setting in (candidate, baseline)]
        if len(both) < 2 * len(plan.confirmation_seeds):
            return provisional(plan, runs, earlier)
        raise StudyFailed(
            f"only {len(pairs)} pairs of runs with and without HAM gave a result; "
            f"{commonest_error(confirmation)}"
        )
    gain = paired_gain(treated, untreated)
    over_recipe = (
        _gain_over(RECIPE_BASELINE, treated, accuracies) if baseline != RECIPE_BASELINE else None
    )
    failures = [run for run in runs if run.setting == candidate and run.error]
    shown = gain.low > 0 and (over_recipe is None or over_recipe.low > 0) and not failures
    served = candidate if shown else _served_baseline(baseline, accuracies)
    optimum, surface = _describe_surface(plan, runs, earlier, candidate, baseline)
    return NewRecommendation(
        grade=Grade.CONFIRMED if shown else Grade.NO_GAIN,
        setting=served,
        candidate=candidate,
        control=baseline,
        **plan.trained_with(served),
        tuned_schedules=plan.space.tuned_schedules,
        accuracy=estimate(list(accuracies[served].values())),
        gain=gain,
        gain_over_recipe=over_recipe,
        gain_over_paper=None
        if candidate == PAPER_DEFAULT
        else _gain_over(PAPER_DEFAULT, treated, accuracies),
        seeds=tuple(sorted(pairs)),
        message=message(plan, candidate, baseline, served, gain, over_recipe, failures),
        warnings=boundary_warnings(plan.space, candidate, baseline, optimum),
        evidence=evidence,
        optimum=optimum,
        surface=surface,
    )


def _gain_over(
    other: HamConfig, treated: dict[int, float], accuracies: dict[HamConfig, dict[int, float]]
) -> Estimate | None:
    """Return the gain over another configuration, or None with fewer than two pairs."""
    untreated = accuracies.get(other, {})
    pairs = treated.keys() & untreated.keys()
    return paired_gain(treated, untreated) if len(pairs) >= MIN_RUNS_OF_AN_INTERVAL else None


def _served_baseline(
    baseline: HamConfig, accuracies: dict[HamConfig, dict[int, float]]
) -> HamConfig:
    """Return the baseline to be served: the tuned one only where it is shown to be better."""
    over_recipe = _gain_over(RECIPE_BASELINE, accuracies[baseline], accuracies)
    return RECIPE_BASELINE if over_recipe is not None and over_recipe.low <= 0 else baseline


def provisional(plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = ()) -> NewRecommendation:
    """Return the recommendation of a study without a confirmation, at any point of the study.

    Test data is not looked at, so no gain is claimed. The recipe baseline is served where the
    surface expects no gain of the candidate.

    Raises:
        StudyFailed: no search trial with HAM gave a result.
    """
    candidate, baseline = best_so_far(plan, runs, earlier), selected_baseline(plan, runs, earlier)
    optimum, surface = _describe_surface(plan, runs, earlier, candidate, baseline)
    expects_no_gain = optimum is not None and optimum.expected_gain.mean <= 0
    served = RECIPE_BASELINE if expects_no_gain else candidate
    return NewRecommendation(
        grade=Grade.PROVISIONAL,
        setting=served,
        candidate=candidate,
        control=baseline,
        **plan.trained_with(served),
        tuned_schedules=plan.space.tuned_schedules,
        accuracy=None,
        gain=None,
        gain_over_paper=None,
        seeds=(),
        message=provisional_message(plan, candidate, baseline, optimum),
        warnings=boundary_warnings(plan.space, candidate, baseline, optimum),
        evidence=_all_evidence(
            [run for run in runs if run.purpose != Purpose.CONFIRMATION], candidate, baseline
        ),
        optimum=optimum,
        surface=surface,
    )


def recommend_early(
    plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = ()
) -> NewRecommendation | None:
    """Return the recommendation of a study that ends early, or None with too few runs.

    Too few are runs that give no surface, or no result with HAM.
    """
    try:
        found = provisional(plan, runs, earlier)
    except StudyFailed:
        return None
    return found if found.optimum else None


def _describe_surface(
    plan: Plan,
    runs: Sequence[Run],
    earlier: Sequence[Run],
    candidate: HamConfig,
    baseline: HamConfig,
) -> tuple[Optimum | None, SurfaceGrid | None]:
    """Describe the surface of the combination's own runs, without the prior.

    A prior from similar combinations is no evidence of this one. Left out, it cannot return to
    the combinations that it came from either.
    """
    surface = surface_of(plan.model_copy(update={"prior": None}), runs, earlier)
    if surface is None:
        return None, None
    seen = observations_of(plan, runs, earlier)
    return describe_surface(plan.space, surface, seen, candidate, baseline)


def _all_evidence(
    runs: Sequence[Run], candidate: HamConfig, baseline: HamConfig
) -> tuple[Evidence, ...]:
    """Return the evidence of every configuration trained on fresh seeds, confirmed ones first."""
    roles = {  # stored values
        PAPER_DEFAULT: "paper",
        RECIPE_BASELINE: "no HAM, recipe",
        baseline: "no HAM",
        candidate: "tuned",
    }
    ham_configs = dict.fromkeys(
        run.setting
        for purpose in (Purpose.CONFIRMATION, Purpose.SCREENING)
        for run in runs_for(runs, purpose)
    )
    return tuple(_evidence(runs, each, roles.get(each, "finalist")) for each in ham_configs)


def _evidence(runs: Sequence[Run], ham_config: HamConfig, role: str) -> Evidence:
    own = [run for run in runs if run.setting == ham_config and run.purpose != Purpose.SEARCH]
    screened = [
        run.validation_accuracy
        for run in succeeded(runs_for(own, Purpose.SCREENING))
        if run.validation_accuracy is not None
    ]
    confirmed = succeeded(runs_for(own, Purpose.CONFIRMATION))
    tests = {run.seed: run.test_accuracy for run in confirmed if run.test_accuracy is not None}
    return Evidence(
        role=role,
        setting=ham_config,
        screening_validation_accuracy=_interval(screened),
        test_accuracy=_interval(list(tests.values())),
        test_accuracies=tests,
        failed_runs=len(own) - len(succeeded(own)),
        sparsity=confirmed[0].measures.realised_sparsity if confirmed else None,
        environments=environment_labels(confirmed),
    )


def _interval(values: list[float]) -> Estimate | None:
    return estimate(values) if len(values) >= MIN_RUNS_OF_AN_INTERVAL else None
