"""Starts or joins the Ray cluster, and tells how many trainings it has room for."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import ray

from ham.catalog import MODELS
from service.settings import Settings
from service.workers.cluster import ray_compat

ray_compat.configure_ray()

logger = logging.getLogger(__name__)

_LOCAL_OBJECT_STORE_BYTES = 100 * 2**20  # results are small dictionaries
_SECONDS_BETWEEN_COUNTS = 2.0
_SECONDS_TO_LEAVE = 15.0


def start_local(settings: Settings) -> str:
    """Start a local Ray that ends with this process, and return its address.

    Ray allows 30 seconds for its start, which a busy machine may exceed, so a failed start is
    repeated once.
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
    """Make this machine a node of a cluster, without CPUs or GPUs, until the context ends.

    Every process that uses a cluster needs a node on its own machine. If the node ends by itself,
    this process gets SIGTERM, so that its supervisor starts both again.
    """
    options = ["--num-cpus=0", "--num-gpus=0", "--disable-usage-stats", "--block"]
    memory = f"--object-store-memory={_LOCAL_OBJECT_STORE_BYTES}"
    command = [*ray_compat.RAY_COMMAND, "start", f"--address={address}", *options, memory]
    node = subprocess.Popen(command, stdout=subprocess.DEVNULL)
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
    """Return what one training of a model occupies, in CPUs and GPUs.

    The number of GPUs comes from the settings, or else from the model's spec, but is at most that
    of the largest machine: the devices of one training share a machine. The number of CPUs is
    that of the GPUs, and at least 1.
    """
    gpus = settings.gpus_per_trial
    if gpus is None:
        gpus = min(MODELS.get(model).gpus, _most_gpus())
    return {"CPU": max(1.0, gpus), "GPU": gpus} if gpus else {"CPU": 1.0}


def _most_gpus() -> float:
    nodes = (node["Resources"] for node in ray.nodes() if node["Alive"])
    return max((float(node.get("GPU", 0)) for node in nodes), default=0.0)


def resources_of_a_trial() -> dict[str, float]:
    """Return what a Tune trial itself occupies: next to nothing, on the runner's machine.

    It is on the runner's machine because it ends with the runner. It occupies no CPU: otherwise
    workers that hold all CPUs would wait for trials, and trials for CPUs, for ever.
    """
    here = f"node:{ray.util.get_node_ip_address()}"
    return {here: 0.001} if here in ray.cluster_resources() else {"memory": 1.0}


class Slots:
    """Counts the trainings that the cluster has room for; a cluster may grow and shrink.

    Args:
        resources: what one training occupies.
    """

    def __init__(self, resources: dict[str, float]) -> None:
        self._resources = resources
        self._counted_at = -_SECONDS_BETWEEN_COUNTS
        self._count = 1

    def count(self) -> int:
        """Return the number of trainings, at least 1; it may be 2 seconds old."""
        if monotonic() - self._counted_at >= _SECONDS_BETWEEN_COUNTS:
            total = ray.cluster_resources()
            fitting = [total.get(name, 0) / need for name, need in self._resources.items()]
            self._count = max(1, int(min(fitting)))
            self._counted_at = monotonic()
        return self._count
