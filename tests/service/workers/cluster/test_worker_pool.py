"""The worker pool, on a real Ray with two CPUs and workers that train nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from ray.exceptions import RayActorError

from service.settings import Settings
from service.workers.cluster import connection
from service.workers.cluster.ray_compat import call_when_ready
from service.workers.cluster.worker_pool import WorkerPool
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.xdist_group("ray")

ONE_CPU = {"CPU": 1.0}
TWO_CPUS = {"CPU": 2.0}


class Process:
    """A worker that can tell its process id, and die."""

    def __init__(self, gpus: float = 0) -> None:
        pass

    def warm_up(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def pid(self) -> int:
        return os.getpid()

    def die(self) -> None:
        os._exit(1)

    def hang(self) -> None:
        threading.Event().wait()


class Holder:
    """An actor that leases a worker and may die."""

    def lease(self, pool: Any, run_id: str) -> int:
        me = ray.get_runtime_context().current_actor
        worker = ray.get(pool.lease.remote(run_id, ONE_CPU, me))
        return pid(worker)

    def die(self) -> None:
        os._exit(1)


def start(kind: type, *arguments: object) -> Any:
    """Start an actor that reserves no CPU. Ray declares no type for an actor's methods."""
    return ray.remote(kind).options(num_cpus=0).remote(*arguments)


@pytest.fixture(scope="module")
def two_cpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    connection.start_local(Settings(data_dir=tmp_path_factory.mktemp("ray"), cpus=2))
    yield
    ray.shutdown()


@pytest.fixture
def pool(two_cpus: None) -> Iterator[Any]:
    pool = start(WorkerPool, Process)
    get(pool.start.remote())
    yield pool
    ray.kill(pool)


def get(reference: Any) -> Any:
    return ray.get(reference, timeout=PATIENCE_SECONDS)


def lease(pool: Any, run_id: str, resources: dict[str, float] = ONE_CPU) -> Any:
    return get(pool.lease.remote(run_id, resources))


def pid(worker: Any) -> int:
    return int(get(worker.pid.remote()))


def wait_until_waiting(pool: Any, requests: int) -> None:
    """Wait until so many requests wait for a worker."""
    wait_until(lambda: get(pool.counts.remote())["waiting"] == requests)


def test_workers_are_used_again_and_requests_are_answered_in_their_order(pool: Any) -> None:
    pids = {pid(lease(pool, "a")), pid(lease(pool, "b"))}
    assert len(pids) == 2
    third, fourth = (pool.lease.remote(name, ONE_CPU) for name in "cd")
    wait_until_waiting(pool, 2)
    get(pool.give_back.remote("a"))
    assert pid(get(third)) in pids
    wait_until_waiting(pool, 1)
    get(pool.give_back.remote("b"))
    assert pid(get(fourth)) in pids
    assert get(pool.counts.remote())["leased"] == 2


def test_a_lost_worker_and_one_that_hangs_are_replaced(pool: Any) -> None:
    worker = lease(pool, "a")
    dead = pid(worker)
    with pytest.raises(RayActorError):
        get(worker.die.remote())
    get(pool.give_back.remote("a", True))
    worker = lease(pool, "a")
    hanging = pid(worker)
    assert hanging != dead
    worker.hang.remote()
    assert pid(lease(pool, "a")) not in (dead, hanging), "a new lease of a run ends the old one"


def test_a_worker_lease_ends_with_its_holder(pool: Any) -> None:
    holder = start(Holder)
    first = get(holder.lease.remote(pool, "a"))
    other = pid(lease(pool, "b"))
    waiting = pool.lease.remote("c", ONE_CPU)
    wait_until_waiting(pool, 1)
    holder.die.remote()
    assert pid(get(waiting)) == first != other


def test_the_death_of_a_holder_does_not_end_the_lease_of_the_next_holder(pool: Any) -> None:
    lost, heir = (start(Holder) for _ in range(2))
    get(lost.lease.remote(pool, "run"))
    ray.kill(lost)
    get(heir.lease.remote(pool, "run"))

    def only_the_heir_is_watched() -> bool:
        return bool(get(pool.counts.remote())["watched_holders"] == 1)

    wait_until(only_the_heir_is_watched)
    assert get(pool.counts.remote())["leased"] == 1


def test_an_idle_worker_makes_room_for_one_of_another_size(pool: Any) -> None:
    lease(pool, "small")
    large = pool.lease.remote("large", TWO_CPUS)
    wait_until_waiting(pool, 1)
    get(pool.give_back.remote("small"))
    assert pid(get(large))


def test_idle_workers_are_ended_and_then_the_pool(two_cpus: None) -> None:
    pool = start(WorkerPool, Process, 1.0)
    worker = lease(pool, "a")
    get(pool.start.remote())  # not before the lease: the pool ends after a second without one
    get(pool.give_back.remote("a"))

    def ended(actor: Any) -> bool:
        try:
            get(call_when_ready(actor))
        except RayActorError:
            return True
        return False

    wait_until(lambda: ended(worker))
    wait_until(lambda: ended(pool))
