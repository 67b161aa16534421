"""From the paired runs of a confirmation to a recommendation with its evidence."""

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
from service.domain.search.stages import (
    best_so_far,
    commonest_error,
    control,
    runs_for,
    seen_by,
    selected,
    succeeded,
    surface_of,
)
from service.errors import StudyFailed

FEWEST_PAIRS = 3
"""With two pairs of accuracies that count images, a gain by chance is too often exact."""


def recommend(plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = ()) -> NewRecommendation:
    """Judge a study that has run to its end.

    The gain is that of test accuracy over no HAM, paired by seed. Where its 95 % interval
    includes zero, HAM is not shown to help, and the setting served is no HAM. A study that was
    planned without a confirmation, or was capped before three pairs of it, ends provisional.

    Where the study tuned learning rate or weight decay, no HAM is that of the control, tuned as
    well, and HAM must also be shown to gain over no HAM at the recipe's own values. The control is
    served in the place of those only where it is shown to be better.

    Args:
        plan: what was planned.
        runs: the study's own.
        earlier: those of earlier studies of the combination; they inform the surface.

    Raises:
        StudyFailed: fewer than three pairs of runs gave a result.
    """
    if not plan.confirmation_seeds:
        return provisional(plan, runs, earlier)
    candidate, without = selected(plan, runs, earlier), control(plan, runs, earlier)
    confirmation = runs_for(runs, Purpose.CONFIRMATION)
    evidence = _all_evidence(runs, candidate, without)
    accuracies = {row.setting: row.test_accuracies for row in evidence}
    treated, compared = accuracies.get(candidate, {}), accuracies.get(without, {})
    pairs = treated.keys() & compared.keys()
    if len(pairs) < FEWEST_PAIRS:
        both = [run for run in confirmation if run.setting in (candidate, without)]
        if len(both) < 2 * len(plan.confirmation_seeds):
            return provisional(plan, runs, earlier)
        raise StudyFailed(
            f"only {len(pairs)} pairs of runs with and without HAM gave a result; "
            f"{commonest_error(confirmation)}"
        )
    gain = paired_gain(treated, compared)
    over_recipe = (
        _gain_over(RECIPE_BASELINE, treated, accuracies) if without != RECIPE_BASELINE else None
    )
    failures = [run for run in runs if run.setting == candidate and run.error]
    shown = gain.low > 0 and (over_recipe is None or over_recipe.low > 0) and not failures
    served = candidate if shown else _best_shown(without, accuracies)
    optimum, surface = _survey(plan, runs, earlier, candidate, without)
    return NewRecommendation(
        grade=Grade.CONFIRMED if shown else Grade.NO_GAIN,
        setting=served,
        candidate=candidate,
        control=without,
        **plan.trained_with(served),
        tuned_schedules=plan.space.tuned_schedules,
        accuracy=estimate(list(accuracies[served].values())),
        gain=gain,
        gain_over_recipe=over_recipe,
        gain_over_paper=None
        if candidate == PAPER_DEFAULT
        else _gain_over(PAPER_DEFAULT, treated, accuracies),
        seeds=tuple(sorted(pairs)),
        message=message(plan, candidate, without, served, gain, over_recipe, failures),
        warnings=boundary_warnings(plan.space, candidate, without, optimum),
        evidence=evidence,
        optimum=optimum,
        surface=surface,
    )


def _gain_over(
    other: HamConfig, treated: dict[int, float], accuracies: dict[HamConfig, dict[int, float]]
) -> Estimate | None:
    """Return the gain over a setting, or None where too few runs of that finished."""
    theirs = accuracies.get(other, {})
    return paired_gain(treated, theirs) if len(treated.keys() & theirs.keys()) >= 2 else None


def _best_shown(without: HamConfig, accuracies: dict[HamConfig, dict[int, float]]) -> HamConfig:
    """Return no HAM as it is to be trained: tuned only where that is shown to help."""
    over_recipe = _gain_over(RECIPE_BASELINE, accuracies[without], accuracies)
    return RECIPE_BASELINE if over_recipe is not None and over_recipe.low <= 0 else without


def provisional(plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = ()) -> NewRecommendation:
    """Say what a study has found so far, without a confirmation: it was stopped, or had none.

    Test data is not looked at, so no gain is claimed. No HAM is served where the surface expects
    nothing of the candidate.

    Raises:
        StudyFailed: no search trial with HAM gave a result.
    """
    candidate, without = best_so_far(plan, runs, earlier), control(plan, runs, earlier)
    optimum, surface = _survey(plan, runs, earlier, candidate, without)
    hopeless = optimum is not None and optimum.expected_gain.mean <= 0
    served = RECIPE_BASELINE if hopeless else candidate
    return NewRecommendation(
        grade=Grade.PROVISIONAL,
        setting=served,
        candidate=candidate,
        control=without,
        **plan.trained_with(served),
        tuned_schedules=plan.space.tuned_schedules,
        accuracy=None,
        gain=None,
        gain_over_paper=None,
        seeds=(),
        message=provisional_message(plan, candidate, without, optimum),
        warnings=boundary_warnings(plan.space, candidate, without, optimum),
        evidence=_all_evidence(
            [run for run in runs if run.purpose != Purpose.CONFIRMATION], candidate, without
        ),
        optimum=optimum,
        surface=surface,
    )


def so_far(
    plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = ()
) -> NewRecommendation | None:
    """Return what a study that is given up has found, or None with too few runs for a surface."""
    try:
        found = provisional(plan, runs, earlier)
    except StudyFailed:
        return None
    return found if found.optimum else None


def _survey(
    plan: Plan,
    runs: Sequence[Run],
    earlier: Sequence[Run],
    candidate: HamConfig,
    without: HamConfig,
) -> tuple[Optimum | None, SurfaceGrid | None]:
    """Describe the surface of the combination's own runs: what others let expect is no evidence.

    So no prior comes back to the combinations it was taken from either.
    """
    surface = surface_of(plan.model_copy(update={"prior": None}), runs, earlier)
    if surface is None:
        return None, None
    seen = seen_by(plan, runs, earlier)
    return describe_surface(plan.space, surface, seen, candidate, without)


def _all_evidence(
    runs: Sequence[Run], candidate: HamConfig, without: HamConfig
) -> tuple[Evidence, ...]:
    """Return the evidence of every setting that was re-run, the confirmed ones first."""
    roles = {
        PAPER_DEFAULT: "paper",
        RECIPE_BASELINE: "no HAM, recipe",
        without: "no HAM",
        candidate: "tuned",
    }
    settings = dict.fromkeys(
        run.setting
        for purpose in (Purpose.CONFIRMATION, Purpose.SCREENING)
        for run in runs_for(runs, purpose)
    )
    return tuple(_evidence(runs, row, roles.get(row, "finalist")) for row in settings)


def _evidence(runs: Sequence[Run], setting: HamConfig, role: str) -> Evidence:
    mine = [run for run in runs if run.setting == setting and run.purpose != Purpose.SEARCH]
    screened = [
        run.validation_accuracy
        for run in succeeded(runs_for(mine, Purpose.SCREENING))
        if run.validation_accuracy is not None
    ]
    confirmed = succeeded(runs_for(mine, Purpose.CONFIRMATION))
    tests = {run.seed: run.test_accuracy for run in confirmed if run.test_accuracy is not None}
    return Evidence(
        role=role,
        setting=setting,
        screening_validation_accuracy=_maybe(screened),
        test_accuracy=_maybe(list(tests.values())),
        test_accuracies=tests,
        failed_runs=len(mine) - len(succeeded(mine)),
        sparsity=confirmed[0].measures["sparsity"]["realised"] if confirmed else None,
        environments=environment_labels(confirmed),
    )


def _maybe(values: list[float]) -> Estimate | None:
    return estimate(values) if len(values) >= 2 else None
