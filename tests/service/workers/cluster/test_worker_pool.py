"""The pool of warm workers, on a real Ray with two CPUs and workers that train nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import ray
from ray.exceptions import RayActorError

from service.settings import Settings
from service.workers.cluster import connection
from service.workers.cluster.ray_compat import call_when_ready
from service.workers.cluster.worker_pool import MAINTENANCE_SECONDS, WorkerPool

pytestmark = pytest.mark.xdist_group("ray")

ONE_CPU = {"CPU": 1.0}
TWO_CPUS = {"CPU": 2.0}


class Process:
    """A worker that can say which process it is, and die."""

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
        time.sleep(3600)


class Holder:
    """Somebody who leases a worker and may die."""

    def lease(self, pool: Any, run_id: str) -> int:
        me = ray.get_runtime_context().current_actor
        worker = ray.get(pool.lease.remote(run_id, ONE_CPU, me))
        return ray.get(worker.pid.remote())  # type: ignore[no-any-return]

    def die(self) -> None:
        os._exit(1)


@pytest.fixture(scope="module")
def two_cpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    connection.start_local(Settings(data_dir=tmp_path_factory.mktemp("ray"), cpus=2))
    yield
    ray.shutdown()


@pytest.fixture
def pool(two_cpus: None) -> Iterator[Any]:
    pool = ray.remote(WorkerPool).options(num_cpus=0).remote(Process)
    ray.get(pool.start.remote())
    yield pool
    ray.kill(pool)


def lease(pool: Any, run_id: str, resources: dict[str, float] = ONE_CPU) -> Any:
    return ray.get(pool.lease.remote(run_id, resources), timeout=60)


def pid(worker: Any) -> int:
    return ray.get(worker.pid.remote())  # type: ignore[no-any-return]


def waits(reference: Any) -> bool:
    return not ray.wait([reference], timeout=0.5)[0]


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_workers_are_used_again_and_the_first_to_ask_is_the_first_to_get_one(pool: Any) -> None:
    pids = {pid(lease(pool, "a")), pid(lease(pool, "b"))}
    assert len(pids) == 2
    third, fourth = (pool.lease.remote(name, ONE_CPU) for name in "cd")
    assert waits(third)
    ray.get(pool.give_back.remote("a"))
    assert pid(ray.get(third)) in pids
    assert waits(fourth)
    ray.get(pool.give_back.remote("b"))
    assert pid(ray.get(fourth)) in pids
    assert ray.get(pool.counts.remote())["leased"] == 2


def test_a_lost_worker_and_one_that_hangs_are_replaced(pool: Any) -> None:
    worker = lease(pool, "a")
    dead = pid(worker)
    with pytest.raises(RayActorError):
        ray.get(worker.die.remote())
    ray.get(pool.give_back.remote("a", True))
    worker = lease(pool, "a")
    hanging = pid(worker)
    assert hanging != dead
    worker.hang.remote()
    assert pid(lease(pool, "a")) not in (dead, hanging), "a new lease of a run ends the old one"


def test_a_lease_ends_with_its_holder(pool: Any) -> None:
    holder = ray.remote(Holder).options(num_cpus=0).remote()
    first = ray.get(holder.lease.remote(pool, "a"))
    other = pid(lease(pool, "b"))
    waiting = pool.lease.remote("c", ONE_CPU)
    assert waits(waiting)
    holder.die.remote()
    assert pid(ray.get(waiting, timeout=60)) == first != other


def test_the_end_of_a_holder_does_not_end_the_lease_of_the_one_who_took_over(pool: Any) -> None:
    lost, heir = (ray.remote(Holder).options(num_cpus=0).remote() for _ in range(2))
    ray.get(lost.lease.remote(pool, "run"))
    ray.kill(lost)
    ray.get(heir.lease.remote(pool, "run"))
    time.sleep(2 * MAINTENANCE_SECONDS)  # both are looked at
    assert ray.get(pool.counts.remote())["leased"] == 1


def test_a_worker_of_another_size_makes_room(pool: Any) -> None:
    lease(pool, "small")
    large = pool.lease.remote("large", TWO_CPUS)
    assert waits(large)
    ray.get(pool.give_back.remote("small"))
    assert pid(ray.get(large, timeout=60))


def test_workers_that_nobody_wants_are_ended_and_then_the_pool(two_cpus: None) -> None:
    pool = ray.remote(WorkerPool).options(num_cpus=0).remote(Process, 1.0)
    ray.get(pool.start.remote())
    worker = lease(pool, "a")
    ray.get(pool.give_back.remote("a"))

    def ended(actor: Any) -> bool:
        try:
            ray.get(call_when_ready(actor))
        except RayActorError:
            return True
        return False

    eventually(lambda: ended(worker))
    eventually(lambda: ended(pool))
