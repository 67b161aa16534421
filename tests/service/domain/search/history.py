"""Whole studies in memory: what each stage asks for is answered by a function of the job."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ham.client.records import Plan, Purpose, Run
from ham.config import HamConfig
from service.domain.search import stages
from service.records import Job
from tests.service.builders import a_run

Measure = Callable[[Job], tuple[float | None, float | None]]


def search_runs(settings: Sequence[HamConfig], measure: Measure) -> list[Run]:
    jobs = [
        Job(purpose=Purpose.SEARCH, setting=setting, seed=0, trial_number=number)
        for number, setting in enumerate(settings)
    ]
    return [a_run(job, *measure(job)) for job in jobs]


def race_jobs(plan: Plan, runs: Sequence[Run], number: int) -> list[Job]:
    """Return the jobs of one heat, the baselines with the first."""
    baselines = stages.baseline_jobs(plan, Purpose.SCREENING) if number == 0 else []
    return baselines + stages.round_jobs(plan, runs, number=number)


def raced(plan: Plan, runs: Sequence[Run], measure: Measure) -> list[Run]:
    """Return the runs with those of the whole race."""
    runs = list(runs)
    for number in range(stages.round_count(plan)):
        runs += [a_run(job, *measure(job)) for job in race_jobs(plan, runs, number)]
    return runs


def confirmation_jobs(plan: Plan, runs: Sequence[Run]) -> list[Job]:
    return stages.baseline_jobs(plan, Purpose.CONFIRMATION) + stages.confirmation_jobs(plan, runs)


def whole_study(plan: Plan, settings: Sequence[HamConfig], measure: Measure) -> list[Run]:
    """Run a study to its end.

    Args:
        plan: what was planned.
        settings: what the search proposes.
        measure: (validation accuracy, test accuracy) of a job; None, None where it fails.
    """
    runs = raced(plan, search_runs(settings, measure), measure)
    if plan.confirmation_seeds:
        runs += [a_run(job, *measure(job)) for job in confirmation_jobs(plan, runs)]
    return runs
