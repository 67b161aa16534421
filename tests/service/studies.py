"""Plays a runner: runs studies through their real stages with invented accuracies.

The storage and the rules are the real ones; only the training is left out.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from ham.client.records import (
    Budget,
    EpochMetrics,
    Objective,
    ParetoFront,
    Plan,
    Purpose,
    Recommendation,
    Run,
    StoredMeasures,
    Study,
    StudyRequest,
)
from ham.config import HamConfig
from search_spaces import Tunable
from service.domain.evidence.pareto_fronts import build_pareto_front
from service.domain.evidence.recommendations import recommend
from service.domain.planning.plans import resolve
from service.domain.search import pareto_stages, stages
from service.domain.search.pareto_stages import ParetoCandidate, baselines_at_all_levels
from service.records import Job, Outcome, StudyLease
from service.storage import Storage

LEASE = timedelta(minutes=5)
MEASURES = {"sparsity": {"realised": 0.9}}
SOME = HamConfig(30.0, 0.01)
SMALL = Budget(trials=4, finalists=2, screening_seeds=2, confirmation_seeds=3)


Stage = Callable[[Plan, list[Run]], list[Job]]


def request_for(
    sparsifier: str = "random",
    sparsity: float = 0.9,
    model: str = "digits_cnn",
    budget: Budget = SMALL,
    tune: tuple[Tunable, ...] = (),
) -> StudyRequest:
    """Return a request for a study on the digits."""
    return StudyRequest(
        model=model,
        dataset="digits",
        sparsifier=sparsifier,
        sparsity=sparsity,
        budget=budget,
        tune=tune,
    )


def submit(storage: Storage, request: StudyRequest) -> Study:
    """Queue a study."""
    return storage.studies.submit(request, resolve(request))[0]


def claim(storage: Storage) -> tuple[Study, StudyLease]:
    """Claim the oldest queued study."""
    claimed = storage.queue.claim("test", LEASE)
    assert claimed is not None
    return claimed


def train(
    storage: Storage,
    lease: StudyLease,
    job: Job,
    accuracy: float,
    measures: dict[str, Any] = MEASURES,
    epochs: int = 3,
) -> None:
    """Begin and end the run of a job with a given accuracy."""
    run = storage.runs.begin(lease, job, epochs)
    curve = tuple(
        EpochMetrics(
            epoch=epoch,
            train_loss=2.0 / epoch,
            validation_accuracy=accuracy * epoch / epochs,
            learning_rate=0.1,
            seconds=0.1,
            sign_flips=0.02,
            mask_churn=0.0,
        )
        for epoch in range(1, epochs + 1)
    )
    outcome = Outcome(
        validation_accuracy=accuracy,
        test_accuracy=accuracy if job.purpose == Purpose.CONFIRMATION else None,
        seconds=1.5,
        measures=StoredMeasures.read(measures),
        environment={"torch": "none: made up by a test"},
        curve=curve,
    )
    storage.runs.end(lease, run.id, outcome)


def search(
    storage: Storage,
    study: Study,
    lease: StudyLease,
    trials: int,
    measures: dict[str, Any] = MEASURES,
) -> None:
    """Make search runs all over the space; tuned multiples help most at twice the recipe."""
    noise = random.Random(study.plan.combination.key)
    space = study.plan.space
    tuned: dict[str, Any] = dict.fromkeys(space.multiples, 2.0)
    tuned |= dict.fromkeys(space.tuned_schedules, "cosine")
    for number in range(trials):
        setting = HamConfig(alpha=2.0 * 2 ** (number % 6), beta=2e-4 * 2 ** (number % 9), **tuned)
        if space.multiples and number % 2:
            setting = replace(setting, alpha=0.0, beta=0.0)
        setting = space.with_schedules(setting)
        job = Job(purpose=Purpose.SEARCH, setting=setting, seed=0, trial_number=number)
        train(storage, lease, job, 0.9 + 0.002 * number + 0.002 * noise.random(), measures)


def pareto_request(budget: Budget = SMALL, objective: Objective = "sparsity") -> StudyRequest:
    """Return a request for a Pareto front on the digits."""
    return StudyRequest(
        model="digits_cnn",
        dataset="digits",
        sparsifier="random",
        objectives=("accuracy", objective),
        sparsities=(0.8, 0.9),
        budget=budget,
    )


def finish_pareto_study(storage: Storage, gain: float = 0.02) -> ParetoFront:
    """Run the oldest queued study, of two objectives, to its end."""
    study, lease = claim(storage)
    plan = study.plan
    noise = random.Random(plan.slug)

    def trained(job: Job) -> None:
        sparsity = job.sparsity or 0.0
        helped = 0.0 if job.setting.is_baseline else gain
        measures = {
            "sparsity": {"target": sparsity, "realised": sparsity},
            "training_flops": round(1e10 * (1 - sparsity)),
            "inference_flops": round(1e6 * (1 - sparsity)),
        }
        accuracy = 1 - sparsity**3 / 10 + helped - 0.05 + 0.002 * noise.random()
        train(storage, lease, job, accuracy, measures)

    tried = [
        *baselines_at_all_levels(plan),
        *(ParetoCandidate(level, SOME) for level in plan.sparsities),
    ]
    for number, (sparsity, setting) in enumerate(tried):
        trained(
            Job(
                purpose=Purpose.SEARCH,
                setting=setting,
                seed=0,
                trial_number=number,
                sparsity=sparsity,
            )
        )
    for jobs in (
        lambda plan, _: pareto_stages.baseline_jobs(plan),
        pareto_stages.candidate_jobs,
        pareto_stages.confirmation_jobs,
    ):
        for job in jobs(plan, storage.runs.of_study(study.id)):
            trained(job)
    runs = storage.runs.of_study(study.id)
    return storage.queue.succeed_with_pareto_front(lease, build_pareto_front(plan, runs))


def finish(storage: Storage, gain: float = 0.02) -> Recommendation:
    """Run the oldest queued study to its end; HAM gains ``gain`` on average."""
    study, lease = claim(storage)
    plan = study.plan
    noise = random.Random(plan.combination.key)
    search(storage, study, lease, plan.search_trials)
    rounds: list[Stage] = [
        partial(stages.round_jobs, number=number) for number in range(stages.round_count(plan))
    ]
    in_order: list[Stage] = [
        lambda plan, _: stages.baseline_jobs(plan, Purpose.SCREENING),
        *rounds,
        lambda plan, _: stages.baseline_jobs(plan, Purpose.CONFIRMATION),
        stages.confirmation_jobs,
    ]
    for stage in in_order:
        for job in stage(plan, storage.runs.of_study(study.id)):
            helped = 0.0 if job.setting.is_baseline else gain if job.setting.alpha < 200 else -0.01
            helped += 0.01 * (job.setting.learning_rate == 2)
            train(storage, lease, job, 0.93 + helped + 0.006 * noise.random())
    return storage.queue.succeed(lease, recommend(plan, storage.runs.of_study(study.id)))
