"""Small, valid requests, plans, jobs and outcomes, to be varied by keyword."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from ham.client.records import (
    Budget,
    EpochMetrics,
    Estimate,
    Evidence,
    Grade,
    NewRecommendation,
    Plan,
    Purpose,
    Run,
    RunState,
    StoredMeasures,
    Study,
    StudyRequest,
)
from ham.config import RECIPE_BASELINE, HamConfig
from service.domain.planning.plans import resolve
from service.records import Job, Outcome, StudyLease
from service.settings import Settings
from service.storage import Storage, open_storage
from service.storage.engine.migrate import migrate

SETTING = HamConfig(alpha=20.0, beta=0.01)
SMALL = Budget(trials=2, finalists=1, screening_seeds=1, confirmation_seeds=3)


@contextmanager
def opened(settings: Settings) -> Iterator[Storage]:
    """Yield a storage with its tables, on the real clock."""
    storage = open_storage(settings)
    migrate(storage.database)
    yield storage
    storage.database.close()


def a_request(**changes: Any) -> StudyRequest:
    fields: dict[str, Any] = dict(
        model="digits_cnn", dataset="digits", sparsifier="random", sparsity=0.9, budget=SMALL
    )
    return StudyRequest(**(fields | changes))


def a_plan(**changes: Any) -> Plan:
    return resolve(a_request(**changes))


def submit(storage: Storage, key: str | None = None, **changes: Any) -> str:
    """Queue a study and return its id."""
    request = a_request(**changes)
    return storage.studies.submit(request, resolve(request), key)[0].id


def claim(
    storage: Storage, owner: str = "a", duration: timedelta = timedelta(hours=1)
) -> tuple[Study, StudyLease]:
    """Claim the next study, which must exist; return it with its lease."""
    claimed = storage.queue.claim(owner, duration)
    assert claimed is not None, "no study can be claimed"
    return claimed


def a_job(
    purpose: Purpose = Purpose.SEARCH,
    setting: HamConfig = SETTING,
    seed: int = 0,
    trial_number: int | None = None,
) -> Job:
    if purpose == Purpose.SEARCH and trial_number is None:
        trial_number = 0
    return Job(purpose=purpose, setting=setting, seed=seed, trial_number=trial_number)


def metrics(epoch: int, accuracy: float = 0.5) -> EpochMetrics:
    return EpochMetrics(
        epoch=epoch,
        train_loss=1 / epoch,
        validation_accuracy=accuracy,
        learning_rate=0.1,
        seconds=0.5,
        sign_flips=0.02,
        mask_churn=0.0,
    )


def an_outcome(epochs: int = 3, accuracy: float = 0.9, test: float | None = None) -> Outcome:
    return Outcome(
        validation_accuracy=accuracy,
        test_accuracy=test,
        seconds=1.5,
        measures=StoredMeasures.read({"sparsity": {"realised": 0.9}}),
        environment={"torch": "2"},
        curve=tuple(metrics(epoch, accuracy) for epoch in range(1, epochs + 1)),
    )


def done_run(
    storage: Storage, lease: StudyLease, job: Job, accuracy: float = 0.9, test: float | None = None
) -> Run:
    run = storage.runs.begin(lease, job, epochs=3)
    return storage.runs.end(lease, run.id, an_outcome(3, accuracy, test))


def a_result(mean: float = 0.9, setting: HamConfig = SETTING) -> NewRecommendation:
    accuracy = Estimate(mean=mean, low=mean - 0.01, high=mean + 0.01, n=2)
    gain = Estimate(mean=0.02, low=0.01, high=0.03, n=2)
    return NewRecommendation(
        grade=Grade.CONFIRMED,
        setting=setting,
        candidate=setting,
        accuracy=accuracy,
        gain=gain,
        gain_over_paper=None,
        seeds=(1, 2),
        message="HAM helps.",
        evidence=(
            an_evidence("tuned", setting, {1: mean - 0.01, 2: mean + 0.01}),
            an_evidence("no HAM", RECIPE_BASELINE, {1: mean - 0.03, 2: mean - 0.01}),
        ),
    )


def an_evidence(role: str, setting: HamConfig, tests: dict[int, float]) -> Evidence:
    mean = sum(tests.values()) / len(tests)
    return Evidence(
        role=role,
        setting=setting,
        screening_validation_accuracy=None,
        test_accuracy=Estimate(mean=mean, low=mean - 0.01, high=mean + 0.01, n=len(tests)),
        test_accuracies=tests,
        failed_runs=0,
        sparsity=0.9,
    )


def a_run(job: Job, accuracy: float | None, test: float | None = None, **changes: Any) -> Run:
    """Return an ended run; with accuracy None it has failed."""
    fields = dict(
        id=f"run_{job.name}",
        study_id="study_1",
        combination="",
        purpose=job.purpose,
        trial_number=job.trial_number,
        sparsity=0.9 if job.sparsity is None else job.sparsity,
        setting=job.setting,
        seed=job.seed,
        state=RunState.FAILED if accuracy is None else RunState.SUCCEEDED,
        epochs=15,
        epochs_done=1 if accuracy is None else 15,
        validation_accuracy=accuracy,
        test_accuracy=test if job.purpose == Purpose.CONFIRMATION else None,
        seconds=1.0,
        measures={"sparsity": {"realised": 0.9}},
        environment={},
        error="diverged: loss is nan" if accuracy is None else None,
        attempt=1,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        ended_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return Run(**(fields | changes))
