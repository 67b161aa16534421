"""The worker pool: warm training processes of a whole cluster, each leased to one run at a time.

A new process needs seconds of CPU time until it can train, so workers outlive runs, studies and
runners. Each cluster has one pool per version of the code. The pool answers requests in their
order, whichever study they come from. It starts workers while the cluster has room, takes back the
workers of a dead runner, and ends workers that have been idle for ten minutes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError

from ham.source_hash import source_hash
from service.workers.cluster.ray_compat import call_when_ready
from service.workers.cluster.trainer import Trainer

logger = logging.getLogger(__name__)

NAMESPACE = "hamtune"
IDLE_SECONDS = 600.0
MAINTENANCE_SECONDS = 2.0
_SECONDS_TO_STOP = 5.0

Resources = dict[str, float]
"""What one training occupies, as Ray names it: ``{"CPU": 1, "GPU": 0.5}``."""


@dataclass(eq=False)
class _Worker:
    """A training process."""

    handle: Any
    resources: Resources
    idle_since: float = field(default_factory=monotonic)


@dataclass(eq=False)
class _Request:
    """A request for a worker for one run."""

    run_id: str
    resources: Resources
    answer: asyncio.Future[Any]


class _WorkerLease(NamedTuple):
    """A leased worker, and the request that it answered."""

    request: _Request
    worker: _Worker


class WorkersLost(Exception):
    """No worker can be had: the pool or its cluster is gone, or workers do not start.

    The run that asked is not at fault and is not to be recorded as failed.
    """


class WorkerPool:
    """Leases workers. It is an asyncio Ray actor, so no two of its steps run at the same time.

    Args:
        make_trainer: class of the workers.
        idle_seconds: a worker is ended after this time without a lease, and so is the pool once
            it has no workers.
    """

    def __init__(
        self, make_trainer: Callable[..., Any] = Trainer, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._make_trainer = make_trainer
        self._idle_seconds = idle_seconds
        self._waiting: list[_Request] = []
        self._starting: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._leased: dict[str, _WorkerLease] = {}
        self._watched_holders = 0
        self._used_at = monotonic()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start the maintenance of the workers, unless it has been started."""
        if not self._tasks:
            self._spawn(self._maintain())

    async def warm(self, resources: Resources) -> None:
        """Start as many workers as the cluster has room for, before they are requested."""
        while self._has_room(resources):
            self._start_worker(resources)

    async def lease(self, run_id: str, resources: Resources, holder: Any = None) -> Any:
        """Wait for a worker and return its actor handle.

        Args:
            run_id: name of the worker lease; an earlier lease of that name ends.
            resources: what the worker occupies.
            holder: actor whose death ends the lease.

        Raises:
            RuntimeError: the worker did not start.
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
        """End a worker lease; do nothing if there is none of that name.

        Args:
            run_id: name of the lease.
            lost: the worker is dead or hangs, so it is killed.
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

    async def counts(self) -> dict[str, int]:
        """Return the number of workers and requests in each state, and of watched holders."""
        return {
            "idle": len(self._idle),
            "leased": len(self._leased),
            "starting": len(self._starting),
            "waiting": len(self._waiting),
            "watched_holders": self._watched_holders,
        }

    def _serve(self) -> None:
        """Lease idle workers to requests in their order; start workers for the other requests."""
        starting = Counter(_key(worker.resources) for worker in self._starting)
        for request in list(self._waiting):
            fitting = [worker for worker in self._idle if worker.resources == request.resources]
            if fitting:
                self._waiting.remove(request)
                self._idle.remove(fitting[-1])
                self._leased[request.run_id] = _WorkerLease(request, fitting[-1])
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
        """End an idle worker, which is of another size than the requested one."""
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
        """Tell whether a worker stops within 5 seconds; a worker in a long epoch does not."""
        try:
            await asyncio.wait_for(_ref(worker.handle.stop.remote()), _SECONDS_TO_STOP)
        except (RayError, TimeoutError):
            return False
        return True

    async def _watch(self, request: _Request, holder: Any) -> None:
        """End a worker lease when its holder dies.

        Another holder may have a lease of the same name by then; that lease goes on.
        """
        self._watched_holders += 1
        try:
            while self._is_open(request):
                await call_when_ready(holder)
                await asyncio.sleep(MAINTENANCE_SECONDS)
        except RayError:
            if self._is_open(request):
                await self.give_back(request.run_id)
        finally:
            self._watched_holders -= 1

    def _is_open(self, request: _Request) -> bool:
        lease = self._leased.get(request.run_id)
        return request in self._waiting or (lease is not None and lease.request is request)

    async def _maintain(self) -> None:
        """Every 2 seconds, use room that the cluster has gained and end what is idle too long."""
        while True:
            await asyncio.sleep(MAINTENANCE_SECONDS)
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
    """Return the actor handle of the cluster's worker pool; make the pool if there is none."""
    actor = ray.remote(WorkerPool).options(
        name=pool_name(),
        namespace=NAMESPACE,
        lifetime="detached",
        get_if_exists=True,
        num_cpus=0,
    )
    pool: Any = actor.remote(make_trainer)
    ray.get(pool.start.remote())
    return pool


def pool_name() -> str:
    """Return the name of the pool's actor, so that workers of different code are not shared."""
    return f"workers-{source_hash()}"


def _fits(total: Resources, resources: Resources, workers: list[_Worker]) -> bool:
    return all(
        sum(worker.resources.get(name, 0) for worker in workers) + need <= total.get(name, 0)
        for name, need in resources.items()
    )


def _key(resources: Resources) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(resources.items()))


async def _ref(reference: Any) -> Any:
    return await reference
