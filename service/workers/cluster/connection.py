"""The Ray cluster: one that the operator names, or a local one."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import ray

from ham.catalog import MODELS
from service.settings import Settings

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the old one is silent at verbose=0
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # relative paths go on meaning the same
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "1e9")  # the database is the memory
os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "64")  # trainables that may start at once
os.environ.setdefault("TUNE_RESULT_BUFFER_LENGTH", "1000")  # over 1: trainables batch results

# Tune looks for result files that its loggers, being off, have not written, and complains.
logging.getLogger("ray.tune.analysis.experiment_analysis").setLevel(logging.CRITICAL)
logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)

logger = logging.getLogger(__name__)

_LOCAL_OBJECT_STORE_BYTES = 100 * 2**20  # results are small dictionaries
_SECONDS_BETWEEN_LOOKS = 2.0
_SECONDS_TO_LEAVE = 15.0


def start_local(settings: Settings) -> str:
    """Start a local Ray in this process's care and return its address.

    On a busy machine that may take longer than the 30 seconds that Ray allows: then once more.
    """
    try:
        _start(settings)
    except Exception:
        logger.warning("Ray did not start; trying again", exc_info=True)
        ray.shutdown()
        _start(settings)
    return str(ray.get_runtime_context().gcs_address)


def _start(settings: Settings) -> None:
    ray.init(
        address="local",
        num_cpus=settings.cpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
        object_store_memory=_LOCAL_OBJECT_STORE_BYTES,
    )


@contextmanager
def joined(address: str) -> Iterator[None]:
    """Make this machine a node of a cluster, for as long as this process lives; it trains nothing.

    Whoever uses a cluster needs a node of it beside himself. Where the node ends by itself, this
    process is told to stop: whoever watches over it starts both anew.
    """
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", f"--address={address}"]
    options = ["--num-cpus=0", "--num-gpus=0", "--disable-usage-stats", "--block"]
    memory = f"--object-store-memory={_LOCAL_OBJECT_STORE_BYTES}"
    node = subprocess.Popen([*command, *options, memory], stdout=subprocess.DEVNULL)
    over = threading.Event()

    def watch() -> None:
        status = node.wait()
        if not over.is_set():
            logger.error("the Ray node of this machine ended with status %d", status)
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="ray-node", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        node.terminate()
        try:
            node.wait(_SECONDS_TO_LEAVE)
        except subprocess.TimeoutExpired:
            node.kill()


def connect(address: str) -> None:
    """Connect this process to a running cluster."""
    ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)


def resources_per_trial(settings: Settings, model: str) -> dict[str, float]:
    """Return what one training occupies: a CPU for each GPU, and of GPUs what its model fills.

    That are no more GPUs than one machine has, for the devices of a training share one.
    """
    gpus = settings.gpus_per_trial
    if gpus is None:
        gpus = min(MODELS.get(model).gpus, _most_gpus())
    return {"CPU": max(1.0, gpus), "GPU": gpus} if gpus else {"CPU": 1.0}


def _most_gpus() -> float:
    nodes = (node["Resources"] for node in ray.nodes() if node["Alive"])
    return max((float(node.get("GPU", 0)) for node in nodes), default=0.0)


def resources_of_a_trial() -> dict[str, float]:
    """Return what a Tune trial occupies itself: a place beside its runner, and next to nothing.

    Beside its runner, with which it ends. No CPU, or workers that hold all CPUs would wait for
    trials, and trials for CPUs, for ever.
    """
    here = f"node:{ray.util.get_node_ip_address()}"
    return {here: 0.001} if here in ray.cluster_resources() else {"memory": 1.0}


class Slots:
    """How many trainings the cluster can hold at once, now: it may grow and shrink.

    Args:
        resources: what one occupies.
    """

    def __init__(self, resources: dict[str, float]) -> None:
        self._resources = resources
        self._looked_at = -_SECONDS_BETWEEN_LOOKS
        self._count = 1

    def count(self) -> int:
        """Return the number, at least 1; at most a few seconds old."""
        if monotonic() - self._looked_at >= _SECONDS_BETWEEN_LOOKS:
            total = ray.cluster_resources()
            fitting = [total.get(name, 0) / need for name, need in self._resources.items()]
            self._count = max(1, int(min(fitting)))
            self._looked_at = monotonic()
        return self._count
