"""The stages of a study with two objectives, decided from its plan and its runs alone.

- **search**: a sampler proposes configurations and sparsities. Only validation data is looked at.
- **screening**: the first trials of the search in NSGA-II's order are trained on fresh paired
  seeds, beside the baseline at every sparsity. That order does not end with the non-dominated
  trials: a sparsity often has only one of those, mostly the luckiest trial. The Pareto front has
  the candidates that no other dominates by the means of the screening.
- **confirmation**: the Pareto front, and the baseline at its sparsities, are trained on further
  seeds and measured on test data.

Runs of other studies are not looked at: a study of one combination does not measure this trade.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from ham.client.records import Plan, Purpose, Run, RunState
from ham.config import RECIPE_BASELINE, HamConfig
from service.domain.search.objectives import (
    Values,
    non_dominated,
    nsga2_order,
    oriented,
    value_of,
)
from service.domain.search.ranking import commonest_error, runs_for, succeeded
from service.errors import StudyFailed
from service.records import Job


class ParetoCandidate(NamedTuple):
    """A configuration at a target sparsity."""

    sparsity: float
    ham_config: HamConfig


def baselines_at_all_levels(plan: Plan) -> tuple[ParetoCandidate, ...]:
    """Return the baseline at every sparsity; it is always a candidate."""
    return tuple(ParetoCandidate(sparsity, RECIPE_BASELINE) for sparsity in plan.sparsities)


def baseline_jobs(plan: Plan) -> list[Job]:
    """Return the screening jobs of the baselines, which depend on no result."""
    return _jobs(Purpose.SCREENING, baselines_at_all_levels(plan), plan.screening_seeds)


def candidates(plan: Plan, runs: Sequence[Run]) -> tuple[ParetoCandidate, ...]:
    """Return the candidates with HAM that a finished search proposes, the best first.

    Raises:
        StudyFailed: no search trial with HAM gave a result.
    """
    search = runs_for(runs, Purpose.SEARCH)
    found = _means(plan, _by_candidate(succeeded(search)))
    treated = sorted((c for c in found if not c.ham_config.is_baseline), key=_order)
    if not treated:
        raise StudyFailed(f"no configuration with HAM gave a result; {commonest_error(search)}")
    order = nsga2_order([found[candidate] for candidate in treated])
    return tuple(treated[index] for index in order[: plan.budget.finalists])


def candidate_jobs(plan: Plan, runs: Sequence[Run]) -> list[Job]:
    """Return the screening jobs of the candidates."""
    return _jobs(Purpose.SCREENING, candidates(plan, runs), plan.screening_seeds)


def pareto_front(plan: Plan, runs: Sequence[Run]) -> dict[ParetoCandidate, float]:
    """Return the Pareto front after the screening, with mean validation accuracies (fractions).

    A candidate with a failed run is left out. Where a cap ended the screening early, only the
    seeds that all candidates have in common count. Where the screening has not begun, the single
    runs of the search count.

    Raises:
        StudyFailed: no candidate is left.
    """
    eligible = {*baselines_at_all_levels(plan), *candidates(plan, runs)}
    screening = [
        run for run in runs_for(runs, Purpose.SCREENING) if pareto_candidate(run) in eligible
    ]
    judged = screening or succeeded(runs_for(runs, Purpose.SEARCH))
    sound = (RunState.SUCCEEDED, RunState.RUNNING)
    failed = {pareto_candidate(run) for run in judged if run.state not in sound}
    results = _by_candidate(
        run for run in succeeded(judged) if pareto_candidate(run) in eligible - failed
    )
    found = _means(plan, _on_common_seeds(results))
    if not found:
        raise StudyFailed(f"no candidate finished on fresh seeds; {commonest_error(screening)}")
    ordered = sorted(found, key=_order)
    front = [ordered[index] for index in non_dominated([found[c] for c in ordered])]
    front.sort(key=lambda candidate: (found[candidate][1:], _order(candidate)))
    return {candidate: found[candidate][0] for candidate in front}


def confirmation_jobs(plan: Plan, runs: Sequence[Run]) -> list[Job]:
    """Return the confirmation jobs of the Pareto front, and of the baseline at its sparsities."""
    if not plan.confirmation_seeds:
        return []
    front = pareto_front(plan, runs)
    baselines = (ParetoCandidate(candidate.sparsity, RECIPE_BASELINE) for candidate in front)
    compared = dict.fromkeys([*front, *baselines])
    return _jobs(Purpose.CONFIRMATION, compared, plan.confirmation_seeds)


def pareto_candidate(run: Run) -> ParetoCandidate:
    """Return the candidate that a run trained."""
    return ParetoCandidate(run.sparsity, run.setting)


def _by_candidate(runs: Iterable[Run]) -> dict[ParetoCandidate, list[Run]]:
    found: defaultdict[ParetoCandidate, list[Run]] = defaultdict(list)
    for run in runs:
        found[pareto_candidate(run)].append(run)
    return dict(found)


def _on_common_seeds(
    results: Mapping[ParetoCandidate, list[Run]],
) -> dict[ParetoCandidate, list[Run]]:
    seeds = [{run.seed for run in runs} for runs in results.values()]
    common = set.intersection(*seeds) if seeds else set()
    return {c: [r for r in runs if r.seed in common] or runs for c, runs in results.items()}


def _means(
    plan: Plan, results: Mapping[ParetoCandidate, Sequence[Run]]
) -> dict[ParetoCandidate, Values]:
    """Return the mean of each objective, oriented; candidates without a measured run are left out.

    Each mean is over the runs in which every objective was measured.
    """
    found = {}
    for candidate, runs in results.items():
        values = [_values(plan, run) for run in runs]
        measured = [value for value in values if value is not None]
        if measured:
            found[candidate] = tuple(map(fmean, zip(*measured, strict=True)))
    return found


def _values(plan: Plan, run: Run) -> Values | None:
    found = []
    for objective in plan.objectives:
        value = value_of(objective, run.validation_accuracy, run.measures)
        if value is None:
            return None
        found.append(oriented(objective, value))
    return tuple(found)


def _order(candidate: ParetoCandidate) -> tuple[float, float, float]:
    return candidate.sparsity, candidate.ham_config.alpha, candidate.ham_config.beta


def _jobs(
    purpose: Purpose, candidates: Iterable[ParetoCandidate], seeds: Sequence[int]
) -> list[Job]:
    candidates = list(candidates)
    return [
        Job(purpose=purpose, setting=ham_config, seed=seed, sparsity=sparsity)
        for seed in seeds
        for sparsity, ham_config in candidates
    ]
