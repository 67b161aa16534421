"""From the paired runs of a confirmation to a recommendation with its evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ham.config import NO_HAM, PAPER_DEFAULT, Setting
from search_spaces import SearchSpace
from service.domain.stages import commonest_error, runs_for, succeeded, winner
from service.domain.statistics import estimate, paired_gain
from service.errors import StudyFailed
from service.records import (
    Estimate,
    Evidence,
    Grade,
    NewRecommendation,
    Plan,
    Purpose,
    Run,
)

FEWEST_PAIRS = 3
"""With two pairs of accuracies that count images, a gain by chance is too often exact."""
_EDGE_SHARE = 0.05


def recommend(plan: Plan, runs: Sequence[Run]) -> NewRecommendation:
    """Judge a study whose confirmation has finished.

    The gain is that of test accuracy over no HAM, paired by seed. Where its 95 % interval
    includes zero, HAM is not shown to help, and the setting served is no HAM.

    Raises:
        StudyFailed: fewer than three pairs of runs gave a result.
    """
    candidate = winner(plan, runs)
    confirmation = runs_for(runs, Purpose.CONFIRMATION)
    evidence = tuple(
        _evidence(runs, setting, candidate)
        for setting in dict.fromkeys(
            run.setting for run in [*confirmation, *runs_for(runs, Purpose.SCREENING)]
        )
    )
    by_setting = {row.setting: row for row in evidence}
    treated = by_setting[candidate].test_accuracies
    control = by_setting[NO_HAM].test_accuracies
    pairs = treated.keys() & control.keys()
    if len(pairs) < FEWEST_PAIRS:
        raise StudyFailed(
            f"only {len(pairs)} pairs of runs with and without HAM gave a result; "
            f"{commonest_error(confirmation)}"
        )
    gain = paired_gain(treated, control)
    failures = [run for run in runs if run.setting == candidate and run.error]
    shown = gain.low > 0 and not failures
    return NewRecommendation(
        grade=Grade.CONFIRMED if shown else Grade.NO_GAIN,
        setting=candidate if shown else NO_HAM,
        candidate=candidate,
        accuracy=estimate(list((treated if shown else control).values())),
        gain=gain,
        gain_over_paper=_gain_over_paper(candidate, treated, by_setting),
        seeds=tuple(sorted(pairs)),
        message=_message(candidate, gain, failures),
        warnings=_edge_warnings(candidate, plan.space),
        evidence=evidence,
    )


def _gain_over_paper(
    candidate: Setting, treated: dict[int, float], by_setting: dict[Setting, Evidence]
) -> Estimate | None:
    """None where the candidate is the paper's default, or too few runs of that finished."""
    paper = by_setting[PAPER_DEFAULT].test_accuracies
    if candidate == PAPER_DEFAULT or len(treated.keys() & paper.keys()) < 2:
        return None
    return paired_gain(treated, paper)


def _evidence(runs: Sequence[Run], setting: Setting, candidate: Setting) -> Evidence:
    mine = [run for run in runs if run.setting == setting and run.purpose != Purpose.SEARCH]
    screened = [
        run.validation_accuracy
        for run in succeeded(runs_for(mine, Purpose.SCREENING))
        if run.validation_accuracy is not None
    ]
    confirmed = succeeded(runs_for(mine, Purpose.CONFIRMATION))
    tests = {run.seed: run.test_accuracy for run in confirmed if run.test_accuracy is not None}
    return Evidence(
        role=_role(setting, candidate),
        setting=setting,
        screening_validation_accuracy=_maybe(screened),
        test_accuracy=_maybe(list(tests.values())),
        test_accuracies=tests,
        failed_runs=len(mine) - len(succeeded(mine)),
        sparsity=confirmed[0].measures["sparsity"]["realised"] if confirmed else None,
    )


def _role(setting: Setting, candidate: Setting) -> str:
    if setting == candidate:
        return "tuned"
    return {NO_HAM: "no HAM", PAPER_DEFAULT: "paper"}.get(setting, "finalist")


def _maybe(values: list[float]) -> Estimate | None:
    return estimate(values) if len(values) >= 2 else None


def _message(candidate: Setting, gain: Estimate, failures: Sequence[Run]) -> str:
    named = f"alpha={candidate.alpha:.3g}, beta={candidate.beta:.3g}"
    measured = (
        f"{100 * gain.mean:+.2f} points of test accuracy over no HAM "
        f"(95 % interval {100 * gain.low:+.2f} to {100 * gain.high:+.2f}, "
        f"{gain.n} paired seeds)"
    )
    if failures:
        return (
            f"HAM is not shown to be safe here: {len(failures)} runs of the best setting found "
            f"({named}) failed, {commonest_error(failures)}; where it finished: {measured}. "
            "Train without HAM."
        )
    if gain.low > 0:
        return f"HAM helps: {named} gains {measured}."
    verdict = "HAM hurts here" if gain.high < 0 else "HAM is not shown to help here"
    return f"{verdict}: the best setting found ({named}) gives {measured}. Train without HAM."


def _edge_warnings(candidate: Setting, space: SearchSpace) -> tuple[str, ...]:
    warnings = []
    for name in ("alpha", "beta"):
        axis, value = getattr(space, name), getattr(candidate, name)
        if value == 0 or not axis.contains(value):
            continue
        place = math.log(value / axis.low) / math.log(axis.high / axis.low)
        at_low = place < _EDGE_SHARE and axis.zero_share == 0  # else what lies beyond is zero
        if at_low or place > 1 - _EDGE_SHARE:
            warnings.append(
                f"{name}={value:.3g} is at the edge of the search space "
                f"({axis.low:g} to {axis.high:g}); the optimum may lie beyond"
            )
    return tuple(warnings)
