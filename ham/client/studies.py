"""Client methods on studies and sweeps: submit, follow, change, and read their runs."""

from __future__ import annotations

from typing import Unpack

from ham.client.filters import CombinationKeywords
from ham.client.records import (
    Command,
    EarlyStoppingReport,
    LogLevel,
    LogLine,
    ParetoFront,
    PlanView,
    Purpose,
    Reason,
    Run,
    StudyChange,
    StudyEvent,
    StudyRequest,
    StudyState,
    StudyView,
    SweepRequest,
    SweepView,
)
from ham.client.transport import Transport


class StudyMethods(Transport):
    """Methods on studies and sweeps."""

    def submit(self, request: StudyRequest, idempotency_key: str | None = None) -> StudyView:
        """Submit a study; the same key and request give the same study.

        A key is generated if left out, so that a request whose answer was lost is repeated
        without a second study.
        """
        return self._post_once(StudyView, "/v1/studies", idempotency_key, request)

    def plan(self, request: StudyRequest) -> PlanView:
        """Return what a study would run and cost, without submitting it."""
        return self._post(PlanView, "/v1/studies/plan", request)

    def study(self, study_id: str) -> StudyView:
        """Return a study and its progress."""
        return self._get(StudyView, f"/v1/studies/{study_id}")

    def studies(
        self,
        state: StudyState | None = None,
        limit: int | None = 50,
        *,
        submitter: str | None = None,
        sweep_id: str | None = None,
        **combination: Unpack[CombinationKeywords],
    ) -> list[StudyView]:
        """Return studies, newest first: at most ``limit``, all where it is None."""
        return self._walk(
            StudyView,
            "/v1/studies",
            limit=limit,
            state=state,
            submitter=submitter,
            sweep_id=sweep_id,
            **combination,
        )

    def command(self, study_id: str, command: Command, reason: str | None = None) -> StudyView:
        """Cancel, pause, resume or drain a study."""
        body = Reason(reason=reason) if reason else None
        return self._post(StudyView, f"/v1/studies/{study_id}/{command.value}", body)

    def change(self, study_id: str, change: StudyChange) -> StudyView:
        """Change priority or budget of a study; fields that are None stay as they are."""
        return self._patch(StudyView, f"/v1/studies/{study_id}", change)

    def rerun(self, study_id: str, idempotency_key: str | None = None) -> StudyView:
        """Submit the request of an earlier study again, as a new study."""
        return self._post_once(StudyView, f"/v1/studies/{study_id}/rerun", idempotency_key)

    def trials(self, study_id: str, limit: int | None = None) -> list[Run]:
        """Return the search runs of a study, oldest first."""
        return self._walk(Run, f"/v1/studies/{study_id}/trials", limit=limit)

    def runs(
        self, study_id: str, purpose: Purpose | None = None, limit: int | None = None
    ) -> list[Run]:
        """Return the runs of a study, oldest first; those of one purpose if it is given."""
        return self._walk(Run, f"/v1/studies/{study_id}/runs", limit=limit, purpose=purpose)

    def early_stopping(self, study_id: str) -> EarlyStoppingReport:
        """Return what early stopping did, and how well early epochs predict final accuracy."""
        return self._get(EarlyStoppingReport, f"/v1/studies/{study_id}/early-stopping")

    def pareto_front(self, study_id: str) -> ParetoFront:
        """Return the Pareto front of a study with two objectives.

        Raises:
            RequestRefused: with status 404 where the study has no Pareto front (yet).
        """
        return self._get(ParetoFront, f"/v1/studies/{study_id}/front")

    def history(self, study_id: str, limit: int | None = None) -> list[StudyEvent]:
        """Return the events of a study, oldest first."""
        return self._walk(StudyEvent, f"/v1/studies/{study_id}/history", limit=limit)

    def logs(
        self, study_id: str, level: LogLevel | None = None, limit: int | None = None
    ) -> list[LogLine]:
        """Return the log of a study from a level on, oldest line first."""
        return self._walk(LogLine, f"/v1/studies/{study_id}/logs", limit=limit, level=level)

    def output(self, study_id: str, limit: int | None = None) -> str:
        """Return the end of what the study's runner wrote: 65,536 bytes, or ``limit``."""
        return self._read(f"/v1/studies/{study_id}/output", limit=limit).text

    def bundle(self, study_id: str) -> bytes:
        """Return the reproduction bundle of a study, a ZIP archive."""
        return self._read(f"/v1/studies/{study_id}/bundle").content

    def submit_sweep(self, request: SweepRequest, idempotency_key: str | None = None) -> SweepView:
        """Submit a study for every combination of some lists; the key is as in :meth:`submit`."""
        return self._post_once(SweepView, "/v1/sweeps", idempotency_key, request)

    def sweep(self, sweep_id: str) -> SweepView:
        """Return a sweep and its progress."""
        return self._get(SweepView, f"/v1/sweeps/{sweep_id}")

    def sweeps(self, limit: int | None = 50) -> list[SweepView]:
        """Return sweeps, newest first: at most ``limit``, all where it is None."""
        return self._walk(SweepView, "/v1/sweeps", limit=limit)
