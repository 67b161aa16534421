"""From the runs of a study of two objectives to its Pareto front with the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from ham.client.records import NewParetoFront, Objective, ParetoPoint, Plan, Purpose, Run
from ham.config import RECIPE_BASELINE, format_sparsity
from service.domain.evidence.recommendations import MIN_PAIRS, MIN_RUNS_OF_AN_INTERVAL
from service.domain.evidence.statistics import CONFIDENCE, estimate, paired_gain
from service.domain.search.objectives import value_of
from service.domain.search.pareto_stages import (
    ParetoCandidate,
    pareto_candidate,
    pareto_front,
)
from service.domain.search.ranking import commonest_error, runs_for, succeeded
from service.errors import StudyFailed

_LABELS = {
    "sparsity": "sparsity",
    "training_flops": "training FLOPs",
    "inference_flops": "inference FLOPs",
}


def build_pareto_front(plan: Plan, runs: Sequence[Run]) -> NewParetoFront:
    """Return the Pareto front of a study of two objectives that has run to its end.

    The screening has decided which candidates are on the Pareto front. The confirmation measures
    them, on seeds and test data that had no part in the decision. The intervals of the gains are
    widened for the number of gains (Bonferroni), so that no point of many gains by chance.

    Raises:
        StudyFailed: no candidate is on the Pareto front, or no confirmation run gave a result.
    """
    front = pareto_front(plan, runs)
    confirmation = runs_for(runs, Purpose.CONFIRMATION)
    if confirmation and not succeeded(confirmation):
        raise StudyFailed(f"no run was confirmed; {commonest_error(confirmation)}")
    gains = sum(not candidate.ham_config.is_baseline for candidate in front)
    confidence = 1 - (1 - CONFIDENCE) / max(gains, 1)
    points = tuple(
        _point(plan, runs, candidate, accuracy, confidence)
        for candidate, accuracy in front.items()
    )
    provisional = not confirmation
    return NewParetoFront(
        objectives=plan.objectives,
        provisional=provisional,
        points=points,
        message=_message(plan, points, provisional),
    )


def _point(
    plan: Plan,
    runs: Sequence[Run],
    candidate: ParetoCandidate,
    validation_accuracy: float,
    confidence: float,
) -> ParetoPoint:
    sparsity, ham_config = candidate
    own = [
        run for run in runs if pareto_candidate(run) == candidate and run.purpose != Purpose.SEARCH
    ]
    tests = _tests(runs, candidate)
    baseline = _tests(runs, ParetoCandidate(sparsity, RECIPE_BASELINE))
    compared = not ham_config.is_baseline and len(tests.keys() & baseline.keys()) >= MIN_PAIRS
    gain = paired_gain(tests, baseline, confidence) if compared else None
    failed = [run for run in own if run.error]
    return ParetoPoint(
        combination=plan.combination_at(sparsity),
        setting=ham_config,
        realised_sparsity=_mean("sparsity", own),
        training_flops=_mean("training_flops", own),
        inference_flops=_mean("inference_flops", own),
        validation_accuracy=validation_accuracy,
        test_accuracy=estimate(list(tests.values()))
        if len(tests) >= MIN_RUNS_OF_AN_INTERVAL
        else None,
        gain=gain,
        gain_shown=gain is not None and gain.low > 0 and not failed,
        seeds=tuple(sorted(tests)),
        failed_runs=len(failed),
    )


def _tests(runs: Sequence[Run], candidate: ParetoCandidate) -> dict[int, float]:
    """Return the test accuracies of a candidate by seed."""
    return {
        run.seed: run.test_accuracy
        for run in succeeded(runs_for(runs, Purpose.CONFIRMATION))
        if pareto_candidate(run) == candidate and run.test_accuracy is not None
    }


def _mean(objective: Objective, runs: Sequence[Run]) -> float | None:
    found = [value_of(objective, run.validation_accuracy, run.measures) for run in succeeded(runs)]
    measured = [value for value in found if value is not None]
    return fmean(measured) if measured else None


def _message(plan: Plan, points: Sequence[ParetoPoint], provisional: bool) -> str:
    levels = dict.fromkeys(format_sparsity(point.combination.sparsity) for point in points)
    summary = (
        f"Accuracy against {_LABELS[plan.objectives[1]]}: of the configurations tried, "
        f"{len(points)} are on the Pareto front, at sparsity {', '.join(levels)}."
    )
    if provisional:
        return f"{summary} Nothing was confirmed, so no gain over the baseline is claimed."
    treated = [point for point in points if not point.setting.is_baseline]
    shown = sum(point.gain_shown for point in treated)
    return (
        f"{summary} On held-out seeds and test data HAM is shown to gain over the baseline, "
        f"without HAM at the same sparsity, at {shown} of the {len(treated)} points that have HAM."
    )
