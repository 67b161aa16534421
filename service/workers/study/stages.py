"""The stages of a study as batches of jobs: which jobs follow the results of which purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from ham.client.records import Plan, Purpose, Run
from service.domain.search import pareto_stages, screening_rounds, stages
from service.records import Job


class JobBatch(NamedTuple):
    """Jobs that can be named once all results of one purpose are stored.

    Attributes:
        results_of: the purpose; None if the jobs follow from the plan alone.
        jobs: names them from the plan, the study's runs and earlier runs of the combination.
    """

    results_of: Purpose | None
    jobs: Callable[[Plan, Sequence[Run], Sequence[Run]], list[Job]]


def _screening_round(number: int) -> JobBatch:
    jobs = partial(stages.round_jobs, number=number)
    return JobBatch(Purpose.SCREENING if number else Purpose.SEARCH, jobs)


JOB_BATCHES = (
    JobBatch(None, lambda plan, *_: stages.baseline_jobs(plan, Purpose.SCREENING)),
    _screening_round(0),
    JobBatch(None, lambda plan, *_: stages.baseline_jobs(plan, Purpose.CONFIRMATION)),
    *(_screening_round(number) for number in range(1, screening_rounds.MAX_ROUNDS)),
    JobBatch(Purpose.SCREENING, stages.confirmation_jobs),
)
"""Of a study of one objective, in their order."""


PARETO_JOB_BATCHES = (
    JobBatch(None, lambda plan, *_: pareto_stages.baseline_jobs(plan)),
    JobBatch(Purpose.SEARCH, lambda plan, runs, _: pareto_stages.candidate_jobs(plan, runs)),
    JobBatch(Purpose.SCREENING, lambda plan, runs, _: pareto_stages.confirmation_jobs(plan, runs)),
)
"""Of a study of two objectives, in their order."""
