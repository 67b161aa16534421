"""The Ray cluster: one that the operator names, or a local one."""

from __future__ import annotations

import logging
import os

import ray

from service.settings import Settings

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the old one is silent at verbose=0

# Tune looks for result files that its loggers, being off, have not written, and complains.
logging.getLogger("ray.tune.analysis.experiment_analysis").setLevel(logging.CRITICAL)
logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)

_LOCAL_OBJECT_STORE_BYTES = 100 * 2**20  # results are small dictionaries


def start_local(settings: Settings) -> str:
    """Start a local Ray in this process's care and return its address."""
    ray.init(
        address="local",
        num_cpus=settings.cpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
        object_store_memory=_LOCAL_OBJECT_STORE_BYTES,
    )
    return str(ray.get_runtime_context().gcs_address)


def connect(address: str) -> None:
    """Connect this process to a running cluster."""
    ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)


def resources_per_trial(settings: Settings) -> dict[str, float]:
    """Return what one training occupies: a CPU, and a GPU where the cluster has any."""
    gpus = settings.gpus_per_trial
    if gpus is None:
        gpus = 1.0 if ray.cluster_resources().get("GPU", 0) > 0 else 0.0
    return {"cpu": 1, "gpu": gpus} if gpus else {"cpu": 1}


def slots(resources: dict[str, float]) -> int:
    """Return how many trainings the cluster can hold at once, at least 1."""
    total = ray.cluster_resources()
    return max(1, int(min(total.get(name.upper(), 0) / need for name, need in resources.items())))
