"""From the runs of a study of two objectives to its Pareto front with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from ham.client.records import NewParetoFront, Objective, ParetoPoint, Plan, Purpose, Run
from ham.config import RECIPE_BASELINE, format_sparsity
from service.domain.evidence.recommendations import FEWEST_PAIRS
from service.domain.evidence.statistics import CONFIDENCE, estimate, paired_gain
from service.domain.search.objectives import value_of
from service.domain.search.pareto_stages import ParetoCandidate, front, pareto_candidate
from service.domain.search.stages import commonest_error, runs_for, succeeded
from service.errors import StudyFailed

_FEWEST_OF_AN_INTERVAL = 2
_IN_WORDS = {
    "sparsity": "sparsity",
    "training_flops": "training FLOPs",
    "inference_flops": "inference FLOPs",
}


def build_pareto_front(plan: Plan, runs: Sequence[Run]) -> NewParetoFront:
    """Judge a study of two objectives that has run to its end.

    Who is on the front was decided by the screening. Here its points are measured, on seeds and
    test data that had no part in that. The intervals of the gains are as much wider as there are
    gains to be looked at (Bonferroni), so that a point of many is not shown to gain by chance.

    Raises:
        StudyFailed: nobody is on the front, or none of the confirmation gave a result.
    """
    elected = front(plan, runs)
    confirmation = runs_for(runs, Purpose.CONFIRMATION)
    if confirmation and not succeeded(confirmation):
        raise StudyFailed(f"no run was confirmed; {commonest_error(confirmation)}")
    gains = sum(not one.setting.is_baseline for one in elected)
    confidence = 1 - (1 - CONFIDENCE) / max(gains, 1)
    points = tuple(
        _point(plan, runs, one, accuracy, confidence) for one, accuracy in elected.items()
    )
    provisional = not confirmation
    return NewParetoFront(
        objectives=plan.objectives,
        provisional=provisional,
        points=points,
        message=_message(plan, points, provisional),
    )


def _point(
    plan: Plan, runs: Sequence[Run], one: ParetoCandidate, accuracy: float, confidence: float
) -> ParetoPoint:
    own = [run for run in runs if pareto_candidate(run) == one and run.purpose != Purpose.SEARCH]
    tests = _tests(runs, one)
    without = _tests(runs, ParetoCandidate(one.sparsity, RECIPE_BASELINE))
    compared = not one.setting.is_baseline and len(tests.keys() & without.keys()) >= FEWEST_PAIRS
    gain = paired_gain(tests, without, confidence) if compared else None
    failed = [run for run in own if run.error]
    return ParetoPoint(
        combination=plan.combination_at(one.sparsity),
        setting=one.setting,
        realised_sparsity=_mean("sparsity", own),
        training_flops=_mean("training_flops", own),
        inference_flops=_mean("inference_flops", own),
        validation_accuracy=accuracy,
        test_accuracy=estimate(list(tests.values()))
        if len(tests) >= _FEWEST_OF_AN_INTERVAL
        else None,
        gain=gain,
        gain_shown=gain is not None and gain.low > 0 and not failed,
        seeds=tuple(sorted(tests)),
        failed_runs=len(failed),
    )


def _tests(runs: Sequence[Run], one: ParetoCandidate) -> dict[int, float]:
    """Return the test accuracies of a contender by seed."""
    return {
        run.seed: run.test_accuracy
        for run in succeeded(runs_for(runs, Purpose.CONFIRMATION))
        if pareto_candidate(run) == one and run.test_accuracy is not None
    }


def _mean(objective: Objective, runs: Sequence[Run]) -> float | None:
    found = [value_of(objective, run.validation_accuracy, run.measures) for run in succeeded(runs)]
    measured = [value for value in found if value is not None]
    return fmean(measured) if measured else None


def _message(plan: Plan, points: Sequence[ParetoPoint], provisional: bool) -> str:
    levels = dict.fromkeys(format_sparsity(point.combination.sparsity) for point in points)
    said = (
        f"Accuracy against {_IN_WORDS[plan.objectives[1]]}: {len(points)} of the settings "
        f"tried, at sparsity {', '.join(levels)}, have none beside them that is better in both."
    )
    if provisional:
        return f"{said} Nothing was confirmed, so no gain over no HAM is claimed."
    tried = [point for point in points if not point.setting.is_baseline]
    shown = sum(point.gain_shown for point in tried)
    return (
        f"{said} On held-out seeds and test data HAM is shown to gain over no HAM of the same "
        f"sparsity at {shown} of the {len(tried)} points that have HAM."
    )
