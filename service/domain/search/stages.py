"""The stages of a study, decided from its plan and its runs alone.

search: a sampler proposes settings; each is trained once; only validation data is looked at.
screening: the settings that a surface fitted to all runs may expect most of race on fresh seeds
beside the baselines; after each heat the surface is fitted again, and names who enters the next.
The winner is the one of all that raced of which the surface, now with the race, can promise most.
confirmation: the winner and the baselines are re-run on further seeds; their test accuracy is
what the recommendation reports. Since the winner was chosen before and on other seeds, its gain
carries no bias from having been selected.

Where learning rate or weight decay is tuned as well, settings without HAM have a search and a race
of their own, a branch with the same number of trainings, on the same seeds. The confirmation then
compares the selected configuration with the one selected in that branch, the tuned baseline.

``earlier`` are runs of other studies of the same combination that had ended before this one
began. They inform the surface; what counts as a result of this study is in ``runs`` alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, pairwise
from statistics import fmean

from ham.client.records import Plan, Purpose, Run, RunState
from ham.config import RECIPE_BASELINE, HamConfig
from search_spaces import Branch
from service.domain.search import screening_rounds
from service.domain.search.candidates import propose_candidates
from service.domain.search.surface import FEWEST_RUNS, Observation, Surface, fitted, observations
from service.errors import StudyFailed
from service.records import Job

_OPTIMISM = 1.0
"""Standard deviations above its expectation by which a setting gets into the first heat."""


def runs_for(runs: Iterable[Run], purpose: Purpose) -> list[Run]:
    """Return the runs of one stage."""
    return [run for run in runs if run.purpose == purpose]


def succeeded(runs: Iterable[Run]) -> list[Run]:
    """Return the runs that reached full length with a result."""
    return [run for run in runs if run.state == RunState.SUCCEEDED]


def surface_of(plan: Plan, runs: Iterable[Run], earlier: Iterable[Run] = ()) -> Surface | None:
    """Return the surface fitted to all that search and screening have seen, if that is enough.

    Confirmation runs stay out of it, those of earlier studies too: their seeds are the same in
    every study, and nothing may be chosen on what confirms it.
    """
    seen = seen_by(plan, runs, earlier)
    if sum(row.counts_fully for row in seen) < FEWEST_RUNS:
        return None
    return fitted(plan.space, seen, plan.prior)


def seen_by(
    plan: Plan, runs: Iterable[Run], earlier: Iterable[Run] = ()
) -> tuple[Observation, ...]:
    """Return what search and screening have seen of the plan's space.

    Of earlier studies, which may have searched another version of the space, only what lies in
    this one: its axes have no place for the rest.
    """
    own = [run for run in runs if plan.space.spans(run.setting)]
    within = [run for run in earlier if plan.space.contains(run.setting)]
    return observations(
        run for run in [*own, *within] if run.purpose in (Purpose.SEARCH, Purpose.SCREENING)
    )


def finalists(
    plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = (), *, branch: Branch = "ham"
) -> tuple[HamConfig, ...]:
    """Return the settings of one branch that enter the race after a finished search.

    Raises:
        StudyFailed: no search trial with HAM gave a result.
    """
    search = runs_for(runs, Purpose.SEARCH)
    results = succeeded(search)
    if not results:
        raise StudyFailed(f"no search trial gave a result; {commonest_error(search)}")
    if all(run.setting.is_baseline for run in results):
        raise StudyFailed("no setting with HAM gave a result")
    surface = surface_of(plan, search, earlier)
    return propose_candidates(
        plan.space,
        surface,
        _best_first(results),
        plan.budget.finalists,
        _OPTIMISM,
        branch=branch,
    )


def _best_first(results: Iterable[Run]) -> list[HamConfig]:
    return [run.setting for run in sorted(results, key=_own_accuracy)]


def _own_accuracy(run: Run) -> tuple[float, float, float]:
    return -(run.validation_accuracy or 0.0), run.setting.alpha, run.setting.beta


def baseline_jobs(plan: Plan, purpose: Purpose) -> list[Job]:
    """Return the jobs of the baselines in the screening or the confirmation.

    They depend on no result, so they fill the time while the last results of a stage come in.
    """
    seeds = plan.confirmation_seeds
    if purpose == Purpose.SCREENING:
        seeds = plan.screening_seeds[: plan.budget.screening_seeds]
    return _cross(purpose, plan.baselines, seeds)


def round_count(plan: Plan) -> int:
    """Return the heats of the race."""
    return len(_heats(plan))


def round_jobs(
    plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = (), *, number: int
) -> list[Job]:
    """Return the jobs of one heat of the race, given all that came before; none after the last.

    A baseline in the race runs only where it does not run as a baseline anyway.
    """
    if number >= round_count(plan):
        return []
    done = {job.name for job in baseline_jobs(plan, Purpose.SCREENING)}
    candidates = chain.from_iterable(
        _fields(plan, runs, earlier, number + 1, branch)[number] for branch in plan.branches
    )
    jobs = _cross(Purpose.SCREENING, candidates, _heat_seeds(plan)[number])
    return [job for job in jobs if job.name not in done]


def screened_candidates(
    plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = (), *, branch: Branch = "ham"
) -> tuple[HamConfig, ...]:
    """Return all of a branch that raced, or all that would where none has."""
    fields = _fields(plan, runs, earlier, round_count(plan), branch)
    screened = {run.setting for run in runs_for(runs, Purpose.SCREENING)}
    raced = [s for s in dict.fromkeys(chain.from_iterable(fields)) if s in screened]
    return tuple(raced) or fields[0]


def best_so_far(plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = ()) -> HamConfig:
    """Return the setting that stands best, however far the race has come.

    Of all that raced it is the one with the fewest failed runs on fresh seeds, then the best lower
    confidence bound (mean less one standard deviation) of the surface; the best mean where there
    is no surface. Before the race it is the finalist with the best bound.
    """
    return _ranked(plan, runs, earlier, screened_candidates(plan, runs, earlier), caution=1.0)[0]


def control(plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = ()) -> HamConfig:
    """Return what the winner is compared with: no HAM, tuned where the study tunes it.

    The recipe's own values run beside the race, so they stand for election as well.
    """
    if "baseline" not in plan.branches:
        return RECIPE_BASELINE
    racing = dict.fromkeys(
        [RECIPE_BASELINE, *screened_candidates(plan, runs, earlier, branch="baseline")]
    )
    return _ranked(plan, runs, earlier, tuple(racing), caution=1.0)[0]


def selected(plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = ()) -> HamConfig:
    """Return the setting to be confirmed, given a race that has finished, or was cut by a cap.

    Raises:
        StudyFailed: finalists were run, and none gave a result.
    """
    racing = screened_candidates(plan, runs, earlier)
    screening = [run for run in runs_for(runs, Purpose.SCREENING) if run.setting in racing]
    if screening and not succeeded(screening):
        raise StudyFailed(f"no finalist finished on fresh seeds; {commonest_error(screening)}")
    return best_so_far(plan, runs, earlier)


def confirmation_jobs(plan: Plan, runs: Sequence[Run], earlier: Sequence[Run] = ()) -> list[Job]:
    """Return the confirmation jobs of the winner and its control, given a finished race."""
    if not plan.confirmation_seeds:
        return []
    compared = selected(plan, runs, earlier), control(plan, runs, earlier)
    fresh = [setting for setting in compared if setting not in plan.baselines]
    return _cross(Purpose.CONFIRMATION, fresh, plan.confirmation_seeds)


def _heats(plan: Plan) -> tuple[screening_rounds.ScreeningRound, ...]:
    return screening_rounds.plan_rounds(plan.budget.finalists, plan.budget.screening_seeds)


def _heat_seeds(plan: Plan) -> list[tuple[int, ...]]:
    ends = accumulate((heat.seeds for heat in _heats(plan)), initial=0)
    return [plan.screening_seeds[start:end] for start, end in pairwise(ends)]


def _fields(
    plan: Plan, runs: Sequence[Run], earlier: Sequence[Run], plan_rounds: int, branch: Branch
) -> list[tuple[HamConfig, ...]]:
    """Return who of a branch enters each of the first heats, decided on what was known then."""
    fields = [finalists(plan, runs, earlier, branch=branch)]
    known: set[int] = set()
    for seeds, heat in zip(_heat_seeds(plan), _heats(plan)[1:plan_rounds], strict=False):
        known.update(seeds)
        then = [run for run in runs if run.purpose == Purpose.SEARCH or run.seed in known]
        racing = tuple(dict.fromkeys(chain.from_iterable(fields)))
        fields.append(_entrants(plan, then, earlier, racing, heat.candidates, branch))
    return fields


def _entrants(
    plan: Plan,
    then: Sequence[Run],
    earlier: Sequence[Run],
    racing: tuple[HamConfig, ...],
    count: int,
    branch: Branch,
) -> tuple[HamConfig, ...]:
    """Return who enters a heat: the best that did not fail, whether they raced before or not."""
    surface = surface_of(plan, then, earlier)
    if surface is None:
        return _ranked(plan, then, earlier, racing)[:count]
    tried = _best_first(succeeded(runs_for(then, Purpose.SEARCH)))
    ended = [run for run in runs_for(then, Purpose.SCREENING) if run.state != RunState.RUNNING]
    failed = {run.setting for run in ended if run.state != RunState.SUCCEEDED}
    known = [*racing, *tried]
    return propose_candidates(plan.space, surface, known, count, avoid=failed, branch=branch)


def _ranked(
    plan: Plan,
    runs: Sequence[Run],
    earlier: Sequence[Run],
    racing: tuple[HamConfig, ...],
    caution: float = 0.0,
) -> tuple[HamConfig, ...]:
    """Order settings: the fewest failures first, then what can be expected of them."""
    screening = runs_for(runs, Purpose.SCREENING)
    expected = _expected(surface_of(plan, runs, earlier), screening, racing, caution)

    def standing(setting: HamConfig) -> tuple[bool, int, float]:
        mine = [run for run in screening if run.setting == setting]
        failures = sum(run.state not in (RunState.SUCCEEDED, RunState.RUNNING) for run in mine)
        return not succeeded(mine), failures, -expected[setting]

    return tuple(sorted(racing, key=standing))


def _expected(
    surface: Surface | None, screening: Sequence[Run], racing: Sequence[HamConfig], caution: float
) -> dict[HamConfig, float]:
    if surface is not None:
        bound = surface.mean(racing) - caution * surface.deviation(racing)
        return dict(zip(racing, bound.tolist(), strict=True))
    accuracies: dict[HamConfig, list[float]] = {setting: [] for setting in racing}
    for run in succeeded(screening):
        accuracies.get(run.setting, []).append(run.validation_accuracy or 0.0)
    return {setting: fmean(own) if own else -math.inf for setting, own in accuracies.items()}


def _cross(purpose: Purpose, settings: Iterable[HamConfig], seeds: Sequence[int]) -> list[Job]:
    settings = list(settings)
    return [
        Job(purpose=purpose, setting=setting, seed=seed) for seed in seeds for setting in settings
    ]


def commonest_error(runs: Iterable[Run]) -> str:
    """Say why most of the failed runs failed."""
    errors = Counter(run.error for run in runs if run.error)
    if not errors:
        return "none was run"
    error, count = errors.most_common(1)[0]
    return f"the commonest reason ({count} runs): {error}"
