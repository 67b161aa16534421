"""The scheduler process: ``python -m service.workers [--die-with-parent]``."""

from __future__ import annotations

import argparse
import logging
import signal
import sys

import ray

from service import logs
from service.settings import Settings
from service.storage import open_storage
from service.storage.migrate import migrate
from service.storage.resilience import PATIENCE_OF_WORKERS
from service.workers import cluster
from service.workers.optuna_storage import open_optuna_storage
from service.workers.pool import open_pool
from service.workers.processes import die_with_parent
from service.workers.scheduler import Scheduler

logger = logging.getLogger("service.workers")


def main() -> None:
    """Run a scheduler until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--die-with-parent", action="store_true")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if args.die_with_parent:
        die_with_parent()
    settings = Settings()
    logs.configure(settings)
    storage = open_storage(settings, PATIENCE_OF_WORKERS)
    migrate(storage.database)
    open_optuna_storage(settings.optuna_database)
    address = settings.ray_address or cluster.start_local(settings)
    logger.info("Ray at %s", address)
    if settings.ray_address is None:
        warm_up()
    scheduler = Scheduler(storage, settings, address)
    try:
        scheduler.run_forever()
    except KeyboardInterrupt:
        pass
    finally:
        scheduler.stop()
        ray.shutdown()


def warm_up() -> None:
    """Start the workers of a local Ray before there is a study.

    Not on GPUs: what a worker takes of one depends on the model.
    """
    if not ray.cluster_resources().get("GPU"):
        open_pool().warm.remote({"CPU": 1.0})


if __name__ == "__main__":
    main()
