"""Claims queued studies and gives each to a runner process.

A runner works on one study at a time, so a study that breaks its runner breaks no other study. A
runner that has ended its study well is kept for the next one, since it is warm.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from service.errors import StaleLease
from service.records import StudyLease
from service.settings import Settings
from service.storage import Storage
from service.workers.scheduler.processes import NO_CLUSTER, PAUSE_AFTER_FAILURE, StudyAssignment
from service.workers.scheduler.runner_process import RunnerProcess

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_STOP_SECONDS = 10


class ClusterLost(Exception):
    """The Ray that this process started no longer answers."""


class StudyScheduler:
    """Keeps up to ``settings.concurrent_studies`` runners busy.

    The study scheduler prolongs the study lease of every living runner. If a runner ends without
    having ended its study, the study goes back to the queue at once. Runners end with their
    scheduler process; if one survives, its writes are refused once the study is claimed again.

    Args:
        storage: the queue and the studies.
        settings: number of concurrent studies, length of a study lease, folder of logs.
        ray_address: address of the Ray cluster for the runners.
    """

    def __init__(self, storage: Storage, settings: Settings, ray_address: str) -> None:
        self._storage = storage
        self._settings = settings
        self._ray_address = ray_address
        self._lease_duration = timedelta(seconds=settings.lease_seconds)
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._runners: dict[RunnerProcess, StudyLease] = {}
        self._idle: list[RunnerProcess] = []
        self._next_heartbeat = 0.0

    def run_forever(self) -> None:
        """Claim studies and run them until the process is told to stop.

        Raises:
            ClusterLost: a new process has to start a new Ray.
        """
        while True:
            if not self.step():
                time.sleep(_POLL_SECONDS)

    def step(self) -> bool:
        """Look after the runners and claim at most one study; return whether one was claimed.

        Raises:
            ClusterLost: see :meth:`run_forever`.
        """
        self._recycle_idle_runners()
        self._reap_runners()
        self._prolong_leases()
        return self._claim_one()

    def stop(self) -> None:
        """Tell every runner to give its study back and end."""
        runners = [*self._runners, *self._idle]
        for runner in runners:
            runner.tell_to_stop()
        for runner in runners:
            runner.wait(_STOP_SECONDS)
        with suppress(ClusterLost):
            self._reap_runners()

    def _claim_one(self) -> bool:
        if len(self._runners) >= self._settings.concurrent_studies:
            return False
        claimed = self._storage.queue.claim(self._owner, self._lease_duration)
        if claimed is None:
            return False
        study, lease = claimed
        slug = study.plan.combination.slug
        logger.info("claimed %s (%s), attempt %d", study.id, slug, study.attempts)
        runner = self._idle.pop() if self._idle else self._start_runner()
        self._runners[runner] = lease
        runner.send(StudyAssignment(lease=lease, log=self._log(study.id)))
        return True

    def _start_runner(self) -> RunnerProcess:
        return RunnerProcess(self._ray_address, self._log("runners"))

    def _log(self, name: str) -> Path:
        log = self._settings.data_dir.resolve() / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        return log

    def _recycle_idle_runners(self) -> None:
        for runner in [runner for runner in self._runners if runner.has_ended_its_study()]:
            del self._runners[runner]
            self._idle.append(runner)

    def _prolong_leases(self) -> None:
        if time.monotonic() < self._next_heartbeat:
            return
        self._next_heartbeat = time.monotonic() + self._settings.lease_seconds / 4
        for lease in self._runners.values():
            with suppress(StaleLease):  # the runner has ended its study, or learns it by a write
                self._storage.queue.heartbeat(lease, self._lease_duration)

    def _reap_runners(self) -> None:
        for runner in [runner for runner in self._idle if runner.status is not None]:
            self._idle.remove(runner)
            runner.close()
        for runner in [runner for runner in self._runners if runner.status is not None]:
            lease = self._runners.pop(runner)
            runner.close()
            unreachable = runner.status == NO_CLUSTER
            reason = f"its runner ended with status {runner.status}; its log says more"
            if unreachable:
                reason = f"Ray at {self._ray_address} does not answer"
            try:
                self._storage.queue.release(
                    lease, reason, PAUSE_AFTER_FAILURE, lost=not unreachable
                )
            except StaleLease:
                continue  # the runner ended the study itself, as it should
            logger.warning("%s: %s", lease.study_id, reason)
            if unreachable and self._settings.ray_address is None:
                raise ClusterLost(reason)
