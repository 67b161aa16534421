"""Whole studies in memory: a function of the job gives the accuracies of each run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ham.client.records import Plan, Purpose, Run
from ham.config import HamConfig
from service.domain.search import stages
from service.records import Job
from tests.service.builders import a_run

Measure = Callable[[Job], tuple[float | None, float | None]]


def search_runs(ham_configs: Sequence[HamConfig], measure: Measure) -> list[Run]:
    jobs = [
        Job(purpose=Purpose.SEARCH, setting=ham_config, seed=0, trial_number=number)
        for number, ham_config in enumerate(ham_configs)
    ]
    return [a_run(job, *measure(job)) for job in jobs]


def screening_jobs(plan: Plan, runs: Sequence[Run], number: int) -> list[Job]:
    """Return the jobs of one round of the screening, with the baselines in the first round."""
    baselines = stages.baseline_jobs(plan, Purpose.SCREENING) if number == 0 else []
    return baselines + stages.round_jobs(plan, runs, number=number)


def with_screening(plan: Plan, runs: Sequence[Run], measure: Measure) -> list[Run]:
    """Return the runs of a search, followed by those of the whole screening."""
    runs = list(runs)
    for number in range(stages.round_count(plan)):
        runs += [a_run(job, *measure(job)) for job in screening_jobs(plan, runs, number)]
    return runs


def confirmation_jobs(plan: Plan, runs: Sequence[Run]) -> list[Job]:
    return stages.baseline_jobs(plan, Purpose.CONFIRMATION) + stages.confirmation_jobs(plan, runs)


def whole_study(plan: Plan, proposed: Sequence[HamConfig], measure: Measure) -> list[Run]:
    """Return the runs of a study that has run to its end.

    Args:
        plan: the plan of the study.
        proposed: configurations that the search proposes.
        measure: (validation accuracy, test accuracy) of a job; None, None where it fails.
    """
    runs = with_screening(plan, search_runs(proposed, measure), measure)
    if plan.confirmation_seeds:
        runs += [a_run(job, *measure(job)) for job in confirmation_jobs(plan, runs)]
    return runs
