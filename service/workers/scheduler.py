"""Claims queued studies and runs each in a runner process of its own."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta

from service.errors import StaleLease
from service.records import Claim, Study
from service.settings import Settings
from service.storage import Storage
from service.workers.processes import PAUSE_AFTER_FAILURE

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_STOP_SECONDS = 10


class Scheduler:
    """Keeps up to ``settings.concurrent_studies`` runners busy.

    The scheduler keeps the lease of each runner that lives, and gives the study back at once
    when a runner ends without having ended the study. Runners die with their scheduler; should
    one survive all the same, its writes are refused as soon as the study is claimed again.
    """

    def __init__(self, storage: Storage, settings: Settings, ray_address: str) -> None:
        self._storage = storage
        self._settings = settings
        self._ray_address = ray_address
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._runners: dict[subprocess.Popen[bytes], Claim] = {}
        self._next_heartbeat = 0.0

    def run_forever(self) -> None:
        """Claim and run until the process is told to stop."""
        while True:
            if not self.step():
                time.sleep(_POLL_SECONDS)

    def step(self) -> bool:
        """Look after the runners and claim at most one study; tell whether one was claimed."""
        self._bury_the_dead()
        self._keep_leases()
        return self._claim_one()

    def stop(self) -> None:
        """Tell every runner to stop; each gives its study back."""
        for runner in self._runners:
            runner.terminate()
        for runner in self._runners:
            try:
                runner.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                runner.kill()
                runner.wait()
        self._bury_the_dead()

    def _claim_one(self) -> bool:
        if len(self._runners) >= self._settings.concurrent_studies:
            return False
        claimed = self._storage.queue.claim(self._owner, self._lease)
        if claimed is None:
            return False
        study, claim = claimed
        slug = study.plan.combination.slug
        logger.info("claimed %s (%s), attempt %d", study.id, slug, study.attempts)
        self._runners[self._start(study, claim)] = claim
        return True

    def _start(self, study: Study, claim: Claim) -> subprocess.Popen[bytes]:
        log = self._settings.data_dir.resolve() / "logs" / f"{study.id}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "service.workers.runner"]
        command += [study.id, str(claim.token), self._ray_address]
        with log.open("ab") as output:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )

    def _keep_leases(self) -> None:
        if time.monotonic() < self._next_heartbeat:
            return
        self._next_heartbeat = time.monotonic() + self._settings.lease_seconds / 4
        for claim in self._runners.values():
            with suppress(StaleLease):  # it has ended its study, or its next write tells it
                self._storage.queue.heartbeat(claim, self._lease)

    def _bury_the_dead(self) -> None:
        for runner in [runner for runner in self._runners if runner.poll() is not None]:
            claim = self._runners.pop(runner)
            reason = f"its runner ended with status {runner.returncode}; its log says more"
            try:
                self._storage.queue.release(claim, reason, PAUSE_AFTER_FAILURE, lost=True)
            except StaleLease:
                continue  # the runner ended the study itself, as it should
            logger.warning("%s: %s", claim.study_id, reason)
