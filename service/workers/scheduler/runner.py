"""The runner process: ``python -m service.workers.scheduler.runner RAY_ADDRESS``.

A runner runs claimed studies one after the other. Study assignments arrive line by line on the
standard input, and the runner answers each one when its study has ended well. One runner serves
several studies because starting a process, Ray and Tune takes longer than many trainings. After a
failure the runner ends. All that it needs is in the database, so it may be killed at any moment:
the next runner continues from the runs that have ended.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from structlog.contextvars import bound_contextvars

from ham.client.records import ParetoFront, Recommendation, Study
from ham.errors import InvalidConfig
from service import logs
from service.domain.evidence.pareto_fronts import build_pareto_front
from service.domain.evidence.recommendations import recommend, recommend_early
from service.domain.transfer.warm_start import warm_start
from service.errors import StaleLease, StudyFailed
from service.records import StudyLease
from service.settings import Settings
from service.storage import Storage, open_storage
from service.storage.engine.retries import WORKER_MAX_WAIT
from service.workers.cluster import connection
from service.workers.cluster.engine import Engine
from service.workers.scheduler.processes import (
    DONE,
    NO_CLUSTER,
    PAUSE_AFTER_FAILURE,
    StudyAssignment,
    die_with_parent,
)
from service.workers.study.execution import StudyExecution
from service.workers.study.log_keeper import kept_logs
from service.workers.study.optuna_search import open_search
from service.workers.study.optuna_storage import open_optuna_storage

logger = logging.getLogger(__name__)

STUDIES_PER_RUNNER = 20  # Tune keeps all trials and searches through them
_SECONDS_BETWEEN_CHECKS = 1.0


def main() -> None:
    """Run the studies that the scheduler process assigns; the queue has their results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ray_address")
    args = parser.parse_args()
    lines, replies = sys.stdin, os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    die_with_parent()
    settings = Settings()
    logs.configure(settings)
    storage = open_storage(settings, WORKER_MAX_WAIT)
    engine = _engine(settings, args.ray_address)
    for number, line in enumerate(lines, start=1):
        assignment = StudyAssignment.model_validate_json(line)
        lease = assignment.lease
        _write_to(assignment.log)
        facts = {"study_id": lease.study_id, "token": lease.token}
        with bound_contextvars(**facts), kept_logs(storage.logs, lease):
            status = _run(storage, lease, settings, engine)
        if status is not None:
            os._exit(status)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # no study is leased that could go back
        if number == STUDIES_PER_RUNNER:
            break
        print(DONE, file=replies)
    os._exit(0)  # Tune's threads still wait for the next study


def _engine(settings: Settings, ray_address: str) -> Engine:
    try:
        connection.connect(ray_address)
        return Engine(settings)
    except Exception:
        logger.exception("Ray at %s does not answer", ray_address)
        os._exit(NO_CLUSTER)


def _run(storage: Storage, lease: StudyLease, settings: Settings, engine: Engine) -> int | None:
    """Run one study; return the exit status after an error, or None to go on.

    The process must end after an error, so that nothing of the study still runs.
    """
    _release_on_sigterm(storage, lease)
    try:
        run_study(storage, lease, settings, engine)
    except StaleLease as error:
        logger.warning("%s", error)
        return 0
    except StudyFailed as error:
        logger.error("%s", error)
        storage.queue.fail(lease, str(error))
        return 0
    except Exception as error:
        logger.exception("the runner stops; the study goes back to the queue")
        storage.queue.release(
            lease, f"{type(error).__name__}: {error}", PAUSE_AFTER_FAILURE, lost=True
        )
        return 1
    return None


def run_study(storage: Storage, lease: StudyLease, settings: Settings, engine: Engine) -> None:
    """Run a claimed study through its stages and store its recommendation or Pareto front.

    Raises:
        StudyFailed: no result could be recommended.
        StaleLease: another runner has claimed the study.
    """
    study = storage.studies.get(lease.study_id)
    try:
        study.plan.combination.check()
    except InvalidConfig as error:  # a plug-in that this machine lacks
        raise StudyFailed(f"this worker cannot train it: {error}") from error
    optuna_storage = open_optuna_storage(settings.optuna_database)
    opening, prior = warm_start(storage, study.plan)
    plan = storage.queue.begin_search(lease, prior)
    search = open_search(optuna_storage, optuna_name(study), plan, opening)
    execution = StudyExecution(storage, lease, plan, search)
    with _exit_when_lease_is_lost(storage, lease):
        engine.run(execution, plan.combination.model)
    runs, earlier = storage.runs.of_study(study.id), storage.runs.earlier(study.id)
    plan = storage.studies.get(study.id).plan  # its budget may have changed meanwhile
    if execution.is_paused:
        found = None if plan.is_multi_objective else recommend_early(plan, runs, earlier)
        storage.queue.release(lease, "its trainings have ended", so_far=found)
        return
    result: ParetoFront | Recommendation
    if plan.is_multi_objective:
        result = storage.queue.succeed_with_pareto_front(lease, build_pareto_front(plan, runs))
    else:
        result = storage.queue.succeed(lease, recommend(plan, runs, earlier))
    logger.info("%s: %s", plan.slug, result.message)


def optuna_name(study: Study) -> str:
    """Return the name of a study in Optuna's storage and dashboard."""
    return f"{study.plan.slug} {study.id}"


def _write_to(log: Path) -> None:
    """Send all output of this process, and of the libraries in it, to a study's log."""
    with log.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())


@contextmanager
def _exit_when_lease_is_lost(storage: Storage, lease: StudyLease) -> Iterator[None]:
    """End this process about a second after its study was cancelled or its study lease lost.

    The worker pool then takes back the workers, and kills a worker that is in a long epoch.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_SECONDS_BETWEEN_CHECKS):
            try:
                storage.queue.control_flags(lease)
            except StaleLease as error:
                if not over.is_set():
                    logger.warning("%s", error)
                    os._exit(0)
            except Exception as error:  # the database is away: the lease may still be valid
                logger.warning("cannot see whether the study is still held: %s", error)

    watcher = threading.Thread(target=watch, name="exit-when-lost", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _release_on_sigterm(storage: Storage, lease: StudyLease) -> None:
    def release(_signal: int, _frame: FrameType | None) -> None:
        try:
            storage.queue.release(lease, "its runner was told to stop")
        except StaleLease:
            pass
        os._exit(0)

    signal.signal(signal.SIGTERM, release)


if __name__ == "__main__":
    main()
