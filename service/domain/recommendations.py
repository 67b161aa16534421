"""From the paired runs of a confirmation to a recommendation with its evidence."""

from __future__ import annotations

from collections.abc import Sequence

from ham.config import NO_HAM, PAPER_DEFAULT, Setting
from search_spaces import LogRange, SearchSpace
from service.domain.edges import edge_of
from service.domain.environments import environment_labels
from service.domain.optimum import survey
from service.domain.stages import (
    commonest_error,
    favourite,
    runs_for,
    seen_by,
    succeeded,
    surface_of,
    winner,
)
from service.domain.statistics import estimate, paired_gain
from service.errors import StudyFailed
from service.records import (
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

FEWEST_PAIRS = 3
"""With two pairs of accuracies that count images, a gain by chance is too often exact."""


def recommend(plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = ()) -> NewRecommendation:
    """Judge a study that has run to its end.

    The gain is that of test accuracy over no HAM, paired by seed. Where its 95 % interval
    includes zero, HAM is not shown to help, and the setting served is no HAM. A study that was
    planned without a confirmation, or was capped before three pairs of it, ends provisional.

    Args:
        plan: what was planned.
        runs: the study's own.
        earlier: those of earlier studies of the combination; they inform the surface.

    Raises:
        StudyFailed: fewer than three pairs of runs gave a result.
    """
    if not plan.confirmation_seeds:
        return provisional(plan, runs, earlier)
    candidate = winner(plan, runs, earlier)
    confirmation = runs_for(runs, Purpose.CONFIRMATION)
    evidence = _all_evidence(runs, candidate)
    by_setting = {row.setting: row for row in evidence}
    accuracies = {row.setting: row.test_accuracies for row in evidence}
    treated, control = accuracies.get(candidate, {}), accuracies.get(NO_HAM, {})
    pairs = treated.keys() & control.keys()
    if len(pairs) < FEWEST_PAIRS:
        compared = [run for run in confirmation if run.setting in (candidate, NO_HAM)]
        if len(compared) < 2 * len(plan.confirmation_seeds):
            return provisional(plan, runs, earlier)
        raise StudyFailed(
            f"only {len(pairs)} pairs of runs with and without HAM gave a result; "
            f"{commonest_error(confirmation)}"
        )
    gain = paired_gain(treated, control)
    failures = [run for run in runs if run.setting == candidate and run.error]
    shown = gain.low > 0 and not failures
    optimum, surface = _survey(plan, runs, earlier, candidate)
    return NewRecommendation(
        grade=Grade.CONFIRMED if shown else Grade.NO_GAIN,
        setting=candidate if shown else NO_HAM,
        candidate=candidate,
        accuracy=estimate(list((treated if shown else control).values())),
        gain=gain,
        gain_over_paper=_gain_over_paper(candidate, treated, by_setting),
        seeds=tuple(sorted(pairs)),
        message=_message(candidate, gain, failures),
        warnings=_edge_warnings(candidate, plan.space, optimum),
        evidence=evidence,
        optimum=optimum,
        surface=surface,
    )


def provisional(plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = ()) -> NewRecommendation:
    """Say what a study has found so far, without a confirmation: it was stopped, or had none.

    Test data is not looked at, so no gain is claimed. No HAM is served where the surface expects
    nothing of the candidate.

    Raises:
        StudyFailed: no search trial with HAM gave a result.
    """
    candidate = favourite(plan, runs, earlier)
    optimum, surface = _survey(plan, runs, earlier, candidate)
    hopeless = optimum is not None and optimum.expected_gain.mean <= 0
    return NewRecommendation(
        grade=Grade.PROVISIONAL,
        setting=NO_HAM if hopeless else candidate,
        candidate=candidate,
        accuracy=None,
        gain=None,
        gain_over_paper=None,
        seeds=(),
        message=_provisional_message(candidate, optimum),
        warnings=_edge_warnings(candidate, plan.space, optimum),
        evidence=_all_evidence(
            [run for run in runs if run.purpose != Purpose.CONFIRMATION], candidate
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
    plan: Plan, runs: Sequence[Run], earlier: Sequence[Run], candidate: Setting
) -> tuple[Optimum | None, SurfaceGrid | None]:
    """Describe the surface of the combination's own runs: what others let expect is no evidence.

    So no prior comes back to the combinations it was taken from either.
    """
    surface = surface_of(plan.model_copy(update={"prior": None}), runs, earlier)
    if surface is None:
        return None, None
    return survey(plan.space, surface, seen_by(plan, runs, earlier), candidate)


def _all_evidence(runs: Sequence[Run], candidate: Setting) -> tuple[Evidence, ...]:
    """Return the evidence of every setting that was re-run, the confirmed ones first."""
    settings = dict.fromkeys(
        run.setting
        for purpose in (Purpose.CONFIRMATION, Purpose.SCREENING)
        for run in runs_for(runs, purpose)
    )
    return tuple(_evidence(runs, setting, candidate) for setting in settings)


def _gain_over_paper(
    candidate: Setting, treated: dict[int, float], by_setting: dict[Setting, Evidence]
) -> Estimate | None:
    """None where the candidate is the paper's default, or too few runs of that finished."""
    paper = by_setting[PAPER_DEFAULT].test_accuracies if PAPER_DEFAULT in by_setting else {}
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
        environments=environment_labels(confirmed),
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


def _provisional_message(candidate: Setting, optimum: Optimum | None) -> str:
    named = f"alpha={candidate.alpha:.3g}, beta={candidate.beta:.3g}"
    tail = "no gain has been measured on held-out seeds"
    if optimum is None:
        return f"Provisional: {named} was the best found by too few runs for a surface; {tail}."
    gain = optimum.expected_gain
    expected = (
        f"{100 * gain.mean:+.2f} points of validation accuracy over no HAM "
        f"(95 % credible interval {100 * gain.low:+.2f} to {100 * gain.high:+.2f}, from a surface "
        f"fitted to {optimum.runs} runs)"
    )
    if gain.mean <= 0:
        return (
            f"Provisional: nothing found is expected to help; of the best ({named}) {expected}; "
            f"{tail}. Train without HAM."
        )
    return f"Provisional: of {named} {expected} are expected; {tail}."


def _edge_warnings(
    candidate: Setting, space: SearchSpace, optimum: Optimum | None
) -> tuple[str, ...]:
    """Warn where the candidate, or its near-optimal region, touches an end of the space."""
    warnings = []
    for name in ("alpha", "beta"):
        axis: LogRange = getattr(space, name)
        value = getattr(candidate, name)
        near = getattr(optimum, name) if optimum else None
        low, high = (near.low, near.high) if near else (value, value)
        edge = edge_of(axis, low, high) if axis.contains(value) else None
        if edge is None:
            continue
        span = f"{name}={value:.3g}"
        if edge_of(axis, value, value) is None:
            span = f"the near-optimal range of {name} ({low:.3g} to {high:.3g})"
        where = "up" if edge.side == "high" else "down"
        warnings.append(
            f"{span} is at the edge of the search space ({axis.low:g} to {axis.high:g}); the "
            f"optimum may lie beyond: search {name} {where} to {edge.extension:g}"
        )
    return tuple(warnings)
