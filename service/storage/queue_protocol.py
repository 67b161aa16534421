"""What the queue must do; the law is in ``base.py``."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from ham.client.records import (
    NewParetoFront,
    NewRecommendation,
    ParetoFront,
    Plan,
    Prior,
    Recommendation,
    Study,
)
from service.records import ControlFlags, StudyLease

NO_PAUSE = timedelta(0)


class Queue(Protocol):
    """Who works on which study. Times are the storage's clock."""

    def claim(self, owner: str, lease: timedelta) -> tuple[Study, StudyLease] | None:
        """Take up a study: one whose lease ran out, else the queued one whose turn it is.

        The highest priority first; at equal priority the submitter with the fewest studies in
        work, then the one served longest ago; of one submitter the oldest first.
        """
        ...

    def control_flags(self, claim: StudyLease) -> ControlFlags:
        """Return what people want of the study by now. Raises StaleLease: it was cancelled."""
        ...

    def begin_search(self, claim: StudyLease, prior: Prior | None) -> Plan:
        """Write a prior into the plan, unless a run has begun, and return the plan.

        So whoever resumes the study decides by the same. Raises StaleLease.
        """
        ...

    def heartbeat(self, claim: StudyLease, lease: timedelta) -> None:
        """Prolong the lease. Raises StaleLease."""
        ...

    def release(
        self,
        claim: StudyLease,
        reason: str,
        pause: timedelta = NO_PAUSE,
        *,
        lost: bool = False,
        so_far: NewRecommendation | None = None,
    ) -> None:
        """Let go of the study before its end: it is queued again, to be claimed after a pause.

        Where people asked for it, it is paused or cancelled instead. A study that is cancelled
        this way leaves what it has found ``so_far`` as a recommendation, unless its combination
        has one already that was measured on held-out seeds.

        A runner that was told to stop uses up no attempt; one that broke down is ``lost``, and
        too many of those end the study. Raises StaleLease.
        """
        ...

    def succeed(self, claim: StudyLease, result: NewRecommendation) -> Recommendation:
        """End the study and store its recommendation as the newest version. Raises StaleLease."""
        ...

    def succeed_with_pareto_front(self, claim: StudyLease, result: NewParetoFront) -> ParetoFront:
        """End a study of two objectives and store its front. Raises StaleLease."""
        ...

    def fail(self, claim: StudyLease, reason: str) -> None:
        """End the study as failed. Raises StaleLease."""
        ...
