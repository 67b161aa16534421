"""The stages of a study, decided from its plan and its runs alone.

search: a sampler proposes settings; each is trained once; only validation data is looked at.
screening: the best few settings, by a surface fitted to all search runs, and the baselines are
re-run on fresh seeds; the winner is the finalist with the best mean validation accuracy.
confirmation: the winner and the baselines are re-run on further seeds; their test accuracy is
what the recommendation reports. Since the winner was chosen before and on other seeds, its gain
carries no bias from having been selected.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean

from ham.config import Setting
from service.domain.surface import best_first
from service.errors import StudyFailed
from service.records import Job, Plan, Purpose, Run, RunState

_SAME_WITHIN = math.log(1.3)


def runs_for(runs: Iterable[Run], purpose: Purpose) -> list[Run]:
    """Return the runs of one stage."""
    return [run for run in runs if run.purpose == purpose]


def succeeded(runs: Iterable[Run]) -> list[Run]:
    """Return the runs that reached full length with a result."""
    return [run for run in runs if run.state == RunState.SUCCEEDED]


def finalists(plan: Plan, runs: Sequence[Run]) -> tuple[Setting, ...]:
    """Return the best settings of a finished search that differ from each other.

    A setting within a factor of 1.3 of a better one, in alpha and in beta, waits until all
    others had their turn: the seeds are better spent on telling real alternatives apart.

    Raises:
        StudyFailed: no search trial with HAM gave a result.
    """
    search = runs_for(runs, Purpose.SEARCH)
    ranked = best_first(plan.space, succeeded(search))
    if not ranked:
        raise StudyFailed(f"no search trial gave a result; {commonest_error(search)}")
    settings = [setting for setting in dict.fromkeys(ranked) if not setting.is_no_ham]
    if not settings:
        raise StudyFailed("no setting with HAM gave a result")
    distinct: list[Setting] = []
    for setting in settings:
        if not any(_close(setting, other) for other in distinct):
            distinct.append(setting)
    rest = [setting for setting in settings if setting not in distinct]
    return tuple((distinct + rest)[: plan.budget.finalists])


def baseline_jobs(plan: Plan, purpose: Purpose) -> list[Job]:
    """Return the jobs of the baselines in the screening or the confirmation.

    They depend on no result, so they fill the time while the last results of a stage come in.
    """
    return _cross(purpose, plan.baselines, _seeds(plan, purpose))


def finalist_jobs(plan: Plan, runs: Sequence[Run]) -> list[Job]:
    """Return the screening jobs of the finalists, given a finished search."""
    fresh = [setting for setting in finalists(plan, runs) if setting not in plan.baselines]
    return _cross(Purpose.SCREENING, fresh, plan.screening_seeds)


def winner(plan: Plan, runs: Sequence[Run]) -> Setting:
    """Return the finalist to be confirmed, given a finished screening.

    It is the one with the fewest failed runs, then the best mean validation accuracy.

    Raises:
        StudyFailed: no run of any finalist gave a result.
    """
    screening = runs_for(runs, Purpose.SCREENING)

    def standing(setting: Setting) -> tuple[int, float]:
        mine = [run for run in screening if run.setting == setting]
        scores = [run.validation_accuracy or 0 for run in succeeded(mine)]
        return len(scores) - len(mine), fmean(scores) if scores else -math.inf

    best = max(finalists(plan, runs), key=standing)
    if standing(best)[1] == -math.inf:
        raise StudyFailed(f"no finalist finished on fresh seeds; {commonest_error(screening)}")
    return best


def winner_jobs(plan: Plan, runs: Sequence[Run]) -> list[Job]:
    """Return the confirmation jobs of the winner, given a finished screening."""
    best = winner(plan, runs)
    fresh = [] if best in plan.baselines else [best]
    return _cross(Purpose.CONFIRMATION, fresh, plan.confirmation_seeds)


def _seeds(plan: Plan, purpose: Purpose) -> tuple[int, ...]:
    return {
        Purpose.SEARCH: plan.search_seeds,
        Purpose.SCREENING: plan.screening_seeds,
        Purpose.CONFIRMATION: plan.confirmation_seeds,
    }[purpose]


def _cross(purpose: Purpose, settings: Iterable[Setting], seeds: Sequence[int]) -> list[Job]:
    settings = list(settings)
    return [
        Job(purpose=purpose, setting=setting, seed=seed) for seed in seeds for setting in settings
    ]


def _close(one: Setting, other: Setting) -> bool:
    pairs = ((one.alpha, other.alpha), (one.beta, other.beta))
    return all(
        a == b or (a > 0 and b > 0 and abs(math.log(a / b)) < _SAME_WITHIN) for a, b in pairs
    )


def commonest_error(runs: Iterable[Run]) -> str:
    """Say why most of the failed runs failed."""
    errors = Counter(run.error for run in runs if run.error)
    if not errors:
        return "none was run"
    error, count = errors.most_common(1)[0]
    return f"the commonest reason ({count} runs): {error}"
