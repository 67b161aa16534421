"""Warm training processes for a whole cluster, leased to one run at a time.

A new process imports for seconds of CPU until it can train. So the workers outlive runs,
studies and runners: one pool per cluster and version of the code hands them out, in the order in
which they are asked for, to whichever study asks. It starts workers while the cluster has room,
frees what a dead runner held, and ends workers that nobody has wanted for a while.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError

import ham
from service.workers.cluster.trainer import Trainer

logger = logging.getLogger(__name__)

NAMESPACE = "hamtune"
IDLE_SECONDS = 600.0
TEND_SECONDS = 2.0
_SECONDS_TO_STOP = 5.0

Resources = dict[str, float]
"""What one training occupies, in Ray's words: ``{"CPU": 1, "GPU": 0.5}``."""


@dataclass(eq=False)
class _Worker:
    """A training process."""

    handle: Any
    resources: Resources
    idle_since: float = field(default_factory=monotonic)


@dataclass(eq=False)
class _Request:
    """Somebody who wants a worker for a run."""

    run_id: str
    resources: Resources
    answer: asyncio.Future[Any]


class _Lease(NamedTuple):
    """A worker, and whose request it answered."""

    request: _Request
    worker: _Worker


class WorkersLost(Exception):
    """No worker is to be had: the pool is gone, and its cluster perhaps, or workers do not start.

    No fault of the run that asked, which is not to be recorded as failed.
    """


class Pool:
    """Hands out workers; an asyncio Ray actor, so no two of its steps run at once.

    Args:
        make_trainer: class of the workers.
        idle_seconds: a worker that is not wanted for so long is ended, and then the pool.
    """

    def __init__(
        self, make_trainer: Callable[..., Any] = Trainer, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._make_trainer = make_trainer
        self._idle_seconds = idle_seconds
        self._waiting: list[_Request] = []
        self._starting: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._leased: dict[str, _Lease] = {}
        self._used_at = monotonic()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to look after the workers; called once, by whoever finds or makes the pool."""
        if not self._tasks:
            self._spawn(self._tend())

    async def warm(self, resources: Resources) -> None:
        """Start workers for trainings to come, as many as the cluster has room for."""
        while self._has_room(resources):
            self._start_worker(resources)

    async def lease(self, run_id: str, resources: Resources, holder: Any = None) -> Any:
        """Wait for a worker and return it.

        Args:
            run_id: what the lease is called; a lease of that name which is left over ends.
            resources: what the worker occupies.
            holder: actor whose death ends the lease.
        """
        await self.give_back(run_id)
        self._used_at = monotonic()
        request = _Request(run_id, resources, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        if holder is not None:
            self._spawn(self._watch(request, holder))
        self._serve()
        return await request.answer

    async def give_back(self, run_id: str, lost: bool = False) -> None:
        """End a lease, if there is one.

        Args:
            run_id: the lease.
            lost: the worker is dead or hangs.
        """
        self._waiting = [request for request in self._waiting if request.run_id != run_id]
        lease = self._leased.pop(run_id, None)
        if lease is None:
            return
        worker = lease.worker
        if lost or not await self._stops(worker):
            ray.kill(worker.handle)
        else:
            worker.idle_since = self._used_at = monotonic()
            self._idle.append(worker)
        self._serve()

    async def census(self) -> dict[str, int]:
        """Count workers and requests."""
        return {
            "idle": len(self._idle),
            "leased": len(self._leased),
            "starting": len(self._starting),
            "waiting": len(self._waiting),
        }

    def _serve(self) -> None:
        """Give idle workers to those who wait, in their order; start more for the rest."""
        starting = Counter(_key(worker.resources) for worker in self._starting)
        for request in list(self._waiting):
            fitting = [worker for worker in self._idle if worker.resources == request.resources]
            if fitting:
                self._waiting.remove(request)
                self._idle.remove(fitting[-1])
                self._leased[request.run_id] = _Lease(request, fitting[-1])
                request.answer.set_result(fitting[-1].handle)
            elif starting[_key(request.resources)] > 0:
                starting[_key(request.resources)] -= 1
            elif self._has_room(request.resources) or self._makes_room():
                self._start_worker(request.resources)

    def _has_room(self, resources: Resources) -> bool:
        total = ray.cluster_resources()
        leased = [lease.worker for lease in self._leased.values()]
        workers = [*self._starting, *self._idle, *leased]
        if not any(worker.resources == resources for worker in workers):
            return not workers or _fits(total, resources, workers)
        return _fits(total, resources, workers)

    def _makes_room(self) -> bool:
        """End an idle worker of another size than the one that is wanted."""
        if not self._idle:
            return False
        ray.kill(self._idle.pop(0).handle)
        return True

    def _start_worker(self, resources: Resources) -> None:
        gpus = resources.get("GPU", 0)
        actor = ray.remote(self._make_trainer).options(
            num_cpus=resources.get("CPU", 0), num_gpus=gpus, max_restarts=0, max_task_retries=0
        )
        worker = _Worker(actor.remote(gpus=gpus), resources)
        self._starting.append(worker)
        self._spawn(self._warm_up(worker))

    async def _warm_up(self, worker: _Worker) -> None:
        try:
            await worker.handle.warm_up.remote()
        except RayError as error:
            logger.exception("a worker did not start")
            self._starting.remove(worker)
            self._refuse_one(worker.resources, error)
            return
        self._starting.remove(worker)
        worker.idle_since = monotonic()
        self._idle.append(worker)
        self._serve()

    def _refuse_one(self, resources: Resources, error: Exception) -> None:
        for request in self._waiting:
            if request.resources == resources:
                self._waiting.remove(request)
                request.answer.set_exception(RuntimeError(f"a worker did not start: {error}"))
                return

    async def _stops(self, worker: _Worker) -> bool:
        """Tell whether a worker is free within some seconds; one in a long epoch is not."""
        try:
            await asyncio.wait_for(_ref(worker.handle.stop.remote()), _SECONDS_TO_STOP)
        except (RayError, TimeoutError):
            return False
        return True

    async def _watch(self, request: _Request, holder: Any) -> None:
        """End a lease when its holder dies: calls to it wait, or fail if it is dead.

        Another holder may have a lease of that name by then, which goes on.
        """
        while self._is_open(request):
            try:
                await holder.__ray_ready__.remote()
            except RayError:
                if self._is_open(request):
                    await self.give_back(request.run_id)
                return
            await asyncio.sleep(TEND_SECONDS)

    def _is_open(self, request: _Request) -> bool:
        lease = self._leased.get(request.run_id)
        return request in self._waiting or (lease is not None and lease.request is request)

    async def _tend(self) -> None:
        """Use room that the cluster has gained; end what has idled for too long."""
        while True:
            await asyncio.sleep(TEND_SECONDS)
            self._serve()
            stale = monotonic() - self._idle_seconds
            for worker in [worker for worker in self._idle if worker.idle_since < stale]:
                self._idle.remove(worker)
                ray.kill(worker.handle)
            in_use = self._leased or self._waiting or self._starting or self._idle
            if not in_use and self._used_at < stale:
                ray.kill(ray.get_runtime_context().current_actor)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # the loop keeps only weak references
        task.add_done_callback(self._tasks.discard)


def open_pool(make_trainer: Callable[..., Any] = Trainer) -> Any:
    """Return the pool of the cluster that this process is connected to, making it if needed."""
    actor = ray.remote(Pool).options(
        name=f"workers-{code_digest()}",
        namespace=NAMESPACE,
        lifetime="detached",
        get_if_exists=True,
        num_cpus=0,
    )
    pool: Any = actor.remote(make_trainer)
    ray.get(pool.start.remote())
    return pool


@cache
def code_digest() -> str:
    """Return 12 digits of the SHA-256 of ham's sources: workers of other code are not shared."""
    digest = hashlib.sha256()
    root = Path(ham.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _fits(total: Resources, resources: Resources, workers: list[_Worker]) -> bool:
    return all(
        sum(worker.resources.get(name, 0) for worker in workers) + need <= total.get(name, 0)
        for name, need in resources.items()
    )


def _key(resources: Resources) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(resources.items()))


async def _ref(reference: Any) -> Any:
    return await reference
