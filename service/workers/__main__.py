"""The scheduler process: ``python -m service.workers [--join] [--die-with-parent]``."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from service import logs
from service.settings import Settings
from service.storage import open_storage
from service.storage.engine.migrate import migrate
from service.storage.engine.retries import WORKER_MAX_WAIT
from service.workers.cluster import connection
from service.workers.cluster.checkpoints import check_checkpoint_store
from service.workers.cluster.worker_pool import open_pool
from service.workers.scheduler.processes import die_with_parent
from service.workers.scheduler.study_scheduler import StudyScheduler
from service.workers.study.optuna_storage import open_optuna_storage

logger = logging.getLogger("service.workers")


def main() -> None:
    """Run a study scheduler until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--die-with-parent", action="store_true")
    parser.add_argument("--join", action="store_true", help="be a node of RAY_ADDRESS")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if args.die_with_parent:
        die_with_parent()
    settings = Settings()
    logs.configure(settings)
    storage = open_storage(settings, WORKER_MAX_WAIT)
    migrate(storage.database)
    open_optuna_storage(settings.optuna_database)
    try:
        check_checkpoint_store(settings.checkpoint_location)
    except ValueError as error:
        sys.exit(str(error))
    with _cluster(settings, args.join) as address:
        logger.info("Ray at %s", address)
        scheduler = StudyScheduler(storage, settings, address)
        try:
            scheduler.run_forever()
        except KeyboardInterrupt:
            pass
        finally:
            scheduler.stop()


@contextmanager
def _cluster(settings: Settings, join: bool) -> Iterator[str]:
    """Yield the address of the cluster at RAY_ADDRESS, or else of a local one started here."""
    address = settings.ray_address
    if address is None:
        address = connection.start_local(settings)
        warm_up()
        try:
            yield address
        finally:
            ray.shutdown()
    elif join:
        with connection.joined(address):
            yield address
    else:
        yield address


def warm_up() -> None:
    """Start the workers of a local Ray before there is a study.

    With GPUs it starts none, since the share of a GPU that a worker takes depends on the model.
    """
    if not ray.cluster_resources().get("GPU"):
        open_pool().warm.remote({"CPU": 1.0})


if __name__ == "__main__":
    main()
