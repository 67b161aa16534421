"""The stages of a study of two objectives, decided from its plan and its runs alone.

search: a sampler proposes settings and sparsities; only validation data is looked at.
screening: the search's best by NSGA-II's order are trained on fresh paired seeds, with no HAM at
every sparsity beside them. That order goes on behind the non-dominated trials, of which a sparsity
often has one alone, and that mostly the luckiest. The front are the contenders that no other
dominates by the means of the screening.
confirmation: the front, and no HAM at its sparsities, on further seeds and on test data.

Runs of other studies are not looked at: none of a single combination knows this trade.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from ham.client.records import Plan, Purpose, Run, RunState
from ham.config import RECIPE_BASELINE, HamConfig
from service.domain.search.objectives import Values, non_dominated, oriented, ranked, value_of
from service.domain.search.stages import commonest_error, runs_for, succeeded
from service.errors import StudyFailed
from service.records import Job


class ParetoCandidate(NamedTuple):
    """A setting at a target sparsity."""

    sparsity: float
    setting: HamConfig


def baselines_at_all_levels(plan: Plan) -> tuple[ParetoCandidate, ...]:
    """Return no HAM at every sparsity; it always stands for election."""
    return tuple(ParetoCandidate(sparsity, RECIPE_BASELINE) for sparsity in plan.sparsities)


def baseline_jobs(plan: Plan) -> list[Job]:
    """Return the screening of no HAM, which depends on no result."""
    return _cross(Purpose.SCREENING, baselines_at_all_levels(plan), plan.screening_seeds)


def candidates(plan: Plan, runs: Sequence[Run]) -> tuple[ParetoCandidate, ...]:
    """Return the contenders with HAM that a finished search brings forward, the best first.

    Raises:
        StudyFailed: no search trial with HAM gave a result.
    """
    search = runs_for(runs, Purpose.SEARCH)
    found = _means(plan, _by_contender(succeeded(search)))
    with_ham = sorted((c for c in found if not c.setting.is_baseline), key=_place)
    if not with_ham:
        raise StudyFailed(f"no setting with HAM gave a result; {commonest_error(search)}")
    order = ranked([found[pareto_candidate] for pareto_candidate in with_ham])
    return tuple(with_ham[place] for place in order[: plan.budget.finalists])


def candidate_jobs(plan: Plan, runs: Sequence[Run]) -> list[Job]:
    """Return the screening of the candidates."""
    return _cross(Purpose.SCREENING, candidates(plan, runs), plan.screening_seeds)


def front(plan: Plan, runs: Sequence[Run]) -> dict[ParetoCandidate, float]:
    """Return who is on the front after the screening, with the mean validation accuracy.

    A contender of which a run failed is not elected. Where a cap ended the screening early, only
    the seeds that all have in common count; where it has not begun, the search's single runs do.

    Raises:
        StudyFailed: nobody is left.
    """
    eligible = {*baselines_at_all_levels(plan), *candidates(plan, runs)}
    screening = [
        run for run in runs_for(runs, Purpose.SCREENING) if pareto_candidate(run) in eligible
    ]
    judged = screening or succeeded(runs_for(runs, Purpose.SEARCH))
    sound = (RunState.SUCCEEDED, RunState.RUNNING)
    failed = {pareto_candidate(run) for run in judged if run.state not in sound}
    results = _by_contender(
        r for r in succeeded(judged) if pareto_candidate(r) in eligible - failed
    )
    found = _means(plan, _on_common_seeds(results))
    if not found:
        raise StudyFailed(f"no contender finished on fresh seeds; {commonest_error(screening)}")
    standing = sorted(found, key=_place)
    elected = [standing[place] for place in non_dominated([found[c] for c in standing])]
    elected.sort(key=lambda c: (found[c][1:], _place(c)))
    return {c: found[c][0] for c in elected}


def confirmation_jobs(plan: Plan, runs: Sequence[Run]) -> list[Job]:
    """Return the confirmation of the front and of no HAM at its sparsities."""
    if not plan.confirmation_seeds:
        return []
    elected = front(plan, runs)
    compared = dict.fromkeys(
        [*elected, *(ParetoCandidate(c.sparsity, RECIPE_BASELINE) for c in elected)]
    )
    return _cross(Purpose.CONFIRMATION, compared, plan.confirmation_seeds)


def pareto_candidate(run: Run) -> ParetoCandidate:
    """Return what a run tried."""
    return ParetoCandidate(run.sparsity, run.setting)


def _by_contender(runs: Iterable[Run]) -> dict[ParetoCandidate, list[Run]]:
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
    """Return the mean of each objective, more being better; without those not measured."""
    found = {}
    for one, runs in results.items():
        rows = [_values(plan, run) for run in runs]
        measured = [row for row in rows if row is not None]
        if measured:
            found[one] = tuple(map(fmean, zip(*measured, strict=True)))
    return found


def _values(plan: Plan, run: Run) -> Values | None:
    found = []
    for objective in plan.objectives:
        value = value_of(objective, run.validation_accuracy, run.measures)
        if value is None:
            return None
        found.append(oriented(objective, value))
    return tuple(found)


def _place(one: ParetoCandidate) -> tuple[float, float, float]:
    return one.sparsity, one.setting.alpha, one.setting.beta


def _cross(
    purpose: Purpose, candidates: Iterable[ParetoCandidate], seeds: Sequence[int]
) -> list[Job]:
    candidates = list(candidates)
    return [
        Job(purpose=purpose, setting=setting, seed=seed, sparsity=sparsity)
        for seed in seeds
        for sparsity, setting in candidates
    ]
