"""Runs one claimed study to its end: ``python -m service.workers.runner STUDY TOKEN ADDRESS``.

One study is one Ray Tune experiment. The process owns nothing that the database does not know:
killed at any moment, its successor goes on from the runs that have ended.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ray import tune
from structlog.contextvars import bind_contextvars

from ham.errors import InvalidConfig
from service import logs
from service.domain.recommendations import recommend
from service.domain.transferred import warm_start
from service.errors import StaleLease, StudyFailed
from service.records import Claim, Study
from service.settings import Settings
from service.storage import SqlStorage, open_storage
from service.workers import cluster
from service.workers.course import Course
from service.workers.optuna_search import OptunaSearch, open_optuna_storage
from service.workers.processes import PAUSE_AFTER_FAILURE, die_with_parent
from service.workers.ray_searcher import CourseScheduler, CourseSearcher
from service.workers.trainable import TrainRun

logger = logging.getLogger(__name__)

RETRIES_OF_LOST_WORKERS = 2
_SECONDS_BETWEEN_LOOKS = 1.0


def main() -> None:
    """Run the study that the command line names; the exit status tells little, the queue all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study_id")
    parser.add_argument("token", type=int)
    parser.add_argument("ray_address")
    args = parser.parse_args()
    die_with_parent()
    settings = Settings()
    logs.configure(settings)
    bind_contextvars(study_id=args.study_id, token=args.token)
    storage = open_storage(settings)
    claim = Claim(study_id=args.study_id, token=args.token)
    _release_on_sigterm(storage, claim)
    try:
        run_study(storage, claim, settings, args.ray_address)
    except StaleLease as error:
        logger.warning("%s", error)
    except StudyFailed as error:
        logger.error("%s", error)
        storage.queue.fail(claim, str(error))
    except Exception as error:
        logger.exception("the runner stops; the study goes back to the queue")
        storage.queue.release(
            claim, f"{type(error).__name__}: {error}", PAUSE_AFTER_FAILURE, lost=True
        )
        raise SystemExit(1) from error


def run_study(storage: SqlStorage, claim: Claim, settings: Settings, ray_address: str) -> None:
    """Take a claimed study through its stages and store its recommendation.

    Raises:
        StudyFailed: nothing came out that could be recommended.
        StaleLease: another runner has taken the study over.
    """
    study = storage.studies.get(claim.study_id)
    try:
        study.plan.combination.check()
    except InvalidConfig as error:  # a plug-in that this machine lacks
        raise StudyFailed(f"this worker cannot train it: {error}") from error
    cluster.connect(ray_address)
    _release_on_sigterm(storage, claim)  # again: ray.init has put its own handler there
    optuna_storage = open_optuna_storage(settings.optuna_database)
    search = OptunaSearch(
        optuna_storage, optuna_name(study), study.plan, warm_start(storage, study.plan)
    )
    course = Course(storage, claim, study.plan, search)
    with _ending_when_lost(storage, claim):
        _run_experiment(study, course, settings)
    if course.on_hold:
        storage.queue.release(claim, "its trainings have ended")
        return
    runs, earlier = storage.runs.of_study(study.id), storage.runs.earlier(study.id)
    plan = storage.studies.get(study.id).plan  # its budget may have changed meanwhile
    recommendation = storage.queue.succeed(claim, recommend(plan, runs, earlier))
    logger.info("%s: %s", study.plan.combination.slug, recommendation.message)


def optuna_name(study: Study) -> str:
    """Return the name under which Optuna's dashboard shows a study."""
    return f"{study.plan.combination.slug} {study.id}"


def _run_experiment(study: Study, course: Course, settings: Settings) -> None:
    searcher = CourseSearcher(course)
    resources = cluster.resources_per_trial(settings)
    tuner = tune.Tuner(
        tune.with_resources(TrainRun, resources),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=CourseScheduler(searcher),
            num_samples=-1,  # until the course is finished: its budget may change meanwhile
            max_concurrent_trials=cluster.slots(resources),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=f"{study.id}-{os.getpid()}",
            storage_path=str(settings.data_dir.resolve() / "ray"),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=RETRIES_OF_LOST_WORKERS),
        ),
    )
    tuner.fit()
    if searcher.error is not None:
        raise searcher.error


@contextmanager
def _ending_when_lost(storage: SqlStorage, claim: Claim) -> Iterator[None]:
    """End this process, and with it its trainings, soon after its study was cancelled or lost.

    Ray ends the workers of a driver that is gone, in the middle of whatever they do.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_SECONDS_BETWEEN_LOOKS):
            try:
                storage.queue.orders(claim)
            except StaleLease as error:
                if not over.is_set():
                    logger.warning("%s", error)
                    os._exit(0)
            except Exception as error:  # the database is away: the lease will tell
                logger.warning("cannot see whether the study is still held: %s", error)

    watcher = threading.Thread(target=watch, name="end-when-lost", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _release_on_sigterm(storage: SqlStorage, claim: Claim) -> None:
    def release(_signal: int, _frame: FrameType | None) -> None:
        try:
            storage.queue.release(claim, "its runner was told to stop")
        except StaleLease:
            pass
        os._exit(0)

    signal.signal(signal.SIGTERM, release)


if __name__ == "__main__":
    main()
