"""The stages of a study with one objective, decided from its plan and its runs alone.

- **search**: a sampler proposes configurations. Each is trained once, and only validation data is
  looked at.
- **screening**: the configurations that a surface, fitted to all runs, may expect most of are
  trained on fresh seeds beside the baselines. After each round the surface is fitted again, and
  the candidates of the next round are chosen from it. The configuration selected is the screened
  one with the highest lower confidence bound of the last surface.
- **confirmation**: the selected configuration and the baselines are trained on further seeds. The
  recommendation reports their test accuracy. The configuration was selected before and on other
  seeds, so its gain carries no selection bias.

Where learning rate or weight decay is tuned as well, the search has a second branch without HAM,
with the same number of trainings on the same seeds. The confirmation then compares the selected
configuration with the tuned baseline, which is the configuration selected in that branch.

``earlier`` are runs of other studies of the same combination that had ended before this study
began. They inform the surface. Only ``runs`` count as results of this study.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, pairwise

from ham.client.records import Plan, Purpose, Run, RunState
from ham.config import RECIPE_BASELINE, HamConfig
from search_spaces import Branch
from service.domain.search.candidates import propose_candidates
from service.domain.search.ranking import (
    by_accuracy,
    commonest_error,
    rank,
    runs_for,
    succeeded,
    surface_of,
)
from service.domain.search.screening_rounds import rounds_of
from service.errors import StudyFailed
from service.records import Job

_OPTIMISM = 1.0
"""Standard deviations added to the surface's mean where finalists are chosen: configurations of
which little is known get a chance."""
_CAUTION = 1.0
"""Standard deviations taken off the surface's mean where one configuration is selected."""


def finalists(
    plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = (), *, branch: Branch = "ham"
) -> tuple[HamConfig, ...]:
    """Return the configurations of one branch that enter the screening after a finished search.

    Raises:
        StudyFailed: no search trial with HAM gave a result.
    """
    search = runs_for(runs, Purpose.SEARCH)
    results = succeeded(search)
    if not results:
        raise StudyFailed(f"no search trial gave a result; {commonest_error(search)}")
    if all(run.setting.is_baseline for run in results):
        raise StudyFailed("no configuration with HAM gave a result")
    return propose_candidates(
        plan.space,
        surface_of(plan, search, earlier),
        by_accuracy(results),
        plan.budget.finalists,
        _OPTIMISM,
        branch=branch,
    )


def baseline_jobs(plan: Plan, purpose: Purpose) -> list[Job]:
    """Return the jobs of the baselines in the screening or the confirmation.

    They depend on no result, so they can run while the last results of a stage come in.
    """
    seeds = plan.confirmation_seeds
    if purpose == Purpose.SCREENING:
        seeds = plan.screening_seeds[: plan.budget.screening_seeds]
    return _jobs(purpose, plan.baselines, seeds)


def round_count(plan: Plan) -> int:
    """Return the number of rounds of the screening."""
    return len(rounds_of(plan.budget))


def round_jobs(
    plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = (), *, number: int
) -> list[Job]:
    """Return the jobs of one round of the screening, given the runs of all rounds before it.

    Trainings of a baseline that :func:`baseline_jobs` names are left out.

    Args:
        plan: the plan of the study.
        runs: the study's own.
        earlier: those of earlier studies of the combination.
        number: of the round, from 0; beyond the last round there are no jobs.
    """
    if number >= round_count(plan):
        return []
    named = {job.name for job in baseline_jobs(plan, Purpose.SCREENING)}
    candidates = chain.from_iterable(
        _candidates_by_round(plan, runs, earlier, number + 1, branch)[number]
        for branch in plan.branches
    )
    jobs = _jobs(Purpose.SCREENING, candidates, _round_seeds(plan)[number])
    return [job for job in jobs if job.name not in named]


def screened_candidates(
    plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = (), *, branch: Branch = "ham"
) -> tuple[HamConfig, ...]:
    """Return the screened configurations of one branch; its finalists where none was screened."""
    candidates = _candidates_by_round(plan, runs, earlier, round_count(plan), branch)
    trained = {run.setting for run in runs_for(runs, Purpose.SCREENING)}
    screened = [c for c in dict.fromkeys(chain.from_iterable(candidates)) if c in trained]
    return tuple(screened) or candidates[0]


def best_so_far(plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = ()) -> HamConfig:
    """Return the best configuration with HAM, at any point of the screening.

    It is the screened configuration with the fewest failed runs on fresh seeds, then the highest
    lower confidence bound (mean less one standard deviation) of the surface. Without a surface the
    highest mean counts. Before the screening it is the finalist with the highest bound.
    """
    candidates = screened_candidates(plan, runs, earlier)
    return rank(plan, runs, earlier, candidates, _CAUTION)[0]


def selected_baseline(plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = ()) -> HamConfig:
    """Return the baseline that the gain is measured over: tuned where the study tunes it.

    A tuned baseline is selected as the best with HAM is. The recipe baseline is a candidate too,
    because it is trained beside the screening.
    """
    if "baseline" not in plan.branches:
        return RECIPE_BASELINE
    screened = screened_candidates(plan, runs, earlier, branch="baseline")
    candidates = tuple(dict.fromkeys([RECIPE_BASELINE, *screened]))
    return rank(plan, runs, earlier, candidates, _CAUTION)[0]


def selected(plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = ()) -> HamConfig:
    """Return the configuration to be confirmed, once the screening is over or a cap ended it.

    Raises:
        StudyFailed: finalists were trained, and none gave a result.
    """
    candidates = screened_candidates(plan, runs, earlier)
    screening = [run for run in runs_for(runs, Purpose.SCREENING) if run.setting in candidates]
    if screening and not succeeded(screening):
        raise StudyFailed(f"no finalist finished on fresh seeds; {commonest_error(screening)}")
    return best_so_far(plan, runs, earlier)


def confirmation_jobs(plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = ()) -> list[Job]:
    """Return the confirmation jobs of the selected configuration and of the tuned baseline.

    The baselines of the plan are left out: :func:`baseline_jobs` names them.
    """
    if not plan.confirmation_seeds:
        return []
    compared = selected(plan, runs, earlier), selected_baseline(plan, runs, earlier)
    further = [ham_config for ham_config in compared if ham_config not in plan.baselines]
    return _jobs(Purpose.CONFIRMATION, further, plan.confirmation_seeds)


def _round_seeds(plan: Plan) -> list[tuple[int, ...]]:
    ends = accumulate((each.seeds for each in rounds_of(plan.budget)), initial=0)
    return [plan.screening_seeds[start:end] for start, end in pairwise(ends)]


def _candidates_by_round(
    plan: Plan, runs: Sequence[Run], earlier: Sequence[Run], count: int, branch: Branch
) -> list[tuple[HamConfig, ...]]:
    """Return a branch's candidates of the first ``count`` rounds.

    The candidates of a round are chosen on the runs of search and the rounds before alone.
    """
    candidates = [finalists(plan, runs, earlier, branch=branch)]
    seen_seeds: set[int] = set()
    for seeds, following in zip(_round_seeds(plan), rounds_of(plan.budget)[1:count], strict=False):
        seen_seeds.update(seeds)
        known = [run for run in runs if run.purpose == Purpose.SEARCH or run.seed in seen_seeds]
        before = tuple(dict.fromkeys(chain.from_iterable(candidates)))
        chosen = _round_candidates(plan, known, earlier, before, following.candidates, branch)
        candidates.append(chosen)
    return candidates


def _round_candidates(
    plan: Plan,
    known: Sequence[Run],
    earlier: Sequence[Run],
    before: tuple[HamConfig, ...],
    count: int,
    branch: Branch,
) -> tuple[HamConfig, ...]:
    """Return the candidates of a round: the best that did not fail, screened before or not.

    Args:
        plan: the plan of the study.
        known: runs of the search and of the rounds before.
        earlier: those of earlier studies of the combination.
        before: candidates of the rounds before.
        count: number of candidates, at most.
        branch: of the search.
    """
    surface = surface_of(plan, known, earlier)
    if surface is None:
        return rank(plan, known, earlier, before)[:count]
    tried = by_accuracy(succeeded(runs_for(known, Purpose.SEARCH)))
    ended = [run for run in runs_for(known, Purpose.SCREENING) if run.state != RunState.RUNNING]
    failed = {run.setting for run in ended if run.state != RunState.SUCCEEDED}
    return propose_candidates(
        plan.space, surface, [*before, *tried], count, avoid=failed, branch=branch
    )


def _jobs(purpose: Purpose, ham_configs: Iterable[HamConfig], seeds: Sequence[int]) -> list[Job]:
    ham_configs = list(ham_configs)
    return [
        Job(purpose=purpose, setting=ham_config, seed=seed)
        for seed in seeds
        for ham_config in ham_configs
    ]
