"""Training assignments: what a study execution hands out to be trained."""

from __future__ import annotations

from typing import NamedTuple

from ham.client.records import Plan, Purpose
from ham.config import RunConfig
from service.domain.search.early_stopping import decision_epochs, promotes
from service.records import Job


class TrainingAssignment(NamedTuple):
    """A training to be done now.

    Attributes:
        run_id: id of the run.
        config: config of the run.
        measure_test: whether the accuracy on test data is measured at the end.
        decision_epochs: epochs after which the training waits for early stopping's decision.
        may_be_promoted: a training that is stopped there may continue later, so it needs a
            checkpoint.
        resumes: the run has begun before, so it may have a checkpoint.
    """

    run_id: str
    config: RunConfig
    measure_test: bool
    decision_epochs: tuple[int, ...]
    may_be_promoted: bool
    resumes: bool


def assignment_of(plan: Plan, run_id: str, job: Job, resumes: bool) -> TrainingAssignment:
    """Return the assignment of a job's run; ``resumes``: the run has begun before."""
    searches = job.purpose == Purpose.SEARCH
    config = RunConfig(
        combination=plan.combination_at(job.sparsity),
        recipe=plan.recipe,
        setting=job.setting,
        seed=job.seed,
    )
    return TrainingAssignment(
        run_id,
        config,
        measure_test=job.purpose == Purpose.CONFIRMATION,
        decision_epochs=decision_epochs(plan) if searches else (),
        may_be_promoted=searches and promotes(plan),
        resumes=resumes,
    )
