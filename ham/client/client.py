"""Client of the service's API."""

from __future__ import annotations

from typing import Any

from pydantic import RootModel

from ham.client.errors import NOT_FOUND, RequestRefused
from ham.client.records import (
    Command,
    EarlyStoppingReport,
    Leaderboard,
    Page,
    ParetoFront,
    PlanView,
    Purpose,
    Reason,
    Recommendation,
    Run,
    StudyChange,
    StudyRequest,
    StudyState,
    StudyView,
    SurfaceGrid,
    SweepRequest,
    SweepView,
    Untuned,
)
from ham.client.transport import Transport
from ham.config import RunConfig


class Client(Transport):
    """Methods of the API. Every method returns records of :mod:`ham.client.records`.

    Args:
        url: address of the service; found by :func:`ham.client.service_url` if left out.
        timeout: seconds to wait for an answer.
        key: API key; the value of HAMTUNE_API_KEY if left out.

    Raises:
        ServiceNotRunning: no service answers; every method may raise it.
        RequestRefused: the service refused the request; every method may raise it.
    """

    def instance(self) -> str:
        """Return the id of the running process; a new one after every start."""
        return str(self._send("GET", "/healthz").json()["instance"])

    def submit(self, request: StudyRequest, idempotency_key: str | None = None) -> StudyView:
        """Ask for a study; the same key and request give the same study.

        A key is made up if left out, so that a request whose answer was lost is safely repeated.
        """
        return self._post_once(StudyView, "/v1/studies", idempotency_key, request)

    def sweep(self, request: SweepRequest, idempotency_key: str | None = None) -> SweepView:
        """Ask for many combinations at once."""
        return self._post_once(SweepView, "/v1/sweeps", idempotency_key, request)

    def sweep_progress(self, sweep_id: str) -> SweepView:
        """Return a sweep and how far it is."""
        return self._get(SweepView, f"/v1/sweeps/{sweep_id}")

    def rerun(self, study_id: str, idempotency_key: str | None = None) -> StudyView:
        """Ask again for what an earlier study was asked."""
        return self._post_once(StudyView, f"/v1/studies/{study_id}/rerun", idempotency_key)

    def command(self, study_id: str, command: Command, reason: str | None = None) -> StudyView:
        """Cancel, pause, resume or drain a study."""
        body = Reason(reason=reason) if reason else None
        return self._post(StudyView, f"/v1/studies/{study_id}/{command.value}", body)

    def change(self, study_id: str, change: StudyChange) -> StudyView:
        """Give a study another priority or budget."""
        return self._patch(StudyView, f"/v1/studies/{study_id}", change)

    def plan(self, request: StudyRequest) -> PlanView:
        """Return what a study would run and cost, without asking for it."""
        return self._post(PlanView, "/v1/studies/plan", request)

    def study(self, study_id: str) -> StudyView:
        """Return a study and its progress."""
        return self._get(StudyView, f"/v1/studies/{study_id}")

    def studies(
        self, state: StudyState | None = None, limit: int = 50, **combination: Any
    ) -> list[StudyView]:
        """Return the newest studies, at most ``limit``."""
        query = {"state": state, "limit": limit, **combination}
        return self._get(Page[StudyView], "/v1/studies", **query).items

    def trials(self, study_id: str) -> list[Run]:
        """Return the search runs of a study."""
        return self._walk(Run, f"/v1/studies/{study_id}/trials")

    def front(self, study_id: str) -> ParetoFront:
        """Return the Pareto front that a study of two objectives has ended with.

        Raises:
            RequestRefused: with status 404 where it has none (yet).
        """
        return self._get(ParetoFront, f"/v1/studies/{study_id}/front")

    def early_stopping(self, study_id: str) -> EarlyStoppingReport:
        """Return what early stopping did, and how far early epochs foretell the final accuracy."""
        return self._get(EarlyStoppingReport, f"/v1/studies/{study_id}/early-stopping")

    def runs(self, study_id: str, purpose: Purpose | None = None) -> list[Run]:
        """Return the runs of a study."""
        return self._walk(Run, f"/v1/studies/{study_id}/runs", purpose=purpose)

    def recommendations(self, **combination: Any) -> list[Recommendation]:
        """Return the newest recommendation of each combination that matches.

        Args:
            combination: any of model, dataset, sparsifier, sparsity, optimizer and recipe.

        Raises:
            RequestRefused: 404 where a single combination is named that has none.
        """
        return self._walk(Recommendation, "/v1/recommendations", **combination)

    def transferred(self, **combination: Any) -> Untuned:
        """Return what similar combinations, or the paper, say about one that nobody has tuned.

        Args:
            **combination: model, dataset, sparsifier, sparsity, optimizer, recipe.

        Raises:
            RequestRefused: with status 404 where nothing is known.
        """
        path = "/v1/recommendations/transferred"
        return self._get(RootModel[Untuned], path, **combination).root

    def look_up(self, **combination: Any) -> list[Recommendation] | Untuned:
        """Return recommendations, or what can be carried over where one combination has none.

        Raises:
            RequestRefused: as :meth:`recommendations`, where nothing can be carried over.
        """
        try:
            return self.recommendations(**combination)
        except RequestRefused as refusal:
            if refusal.status != NOT_FOUND:
                raise
            try:
                return self.transferred(**combination)
            except RequestRefused:
                raise refusal from None

    def surface(self, recommendation: Recommendation) -> SurfaceGrid:
        """Return the response surface behind a recommendation, on a grid."""
        return self._get(SurfaceGrid, f"/v1/recommendations/{recommendation.id}/surface")

    def evidence_runs(self, recommendation: Recommendation) -> list[RunConfig]:
        """Return the paired runs behind a recommendation: the baseline and the best
        configuration found.

        Where learning rate or weight decay was tuned, the baseline is tuned too, and the recipe
        baseline comes third.

        ``ham.train`` gives the same accuracies again on the same kind of machine.
        """
        plan = self.study(recommendation.study_id).plan
        return [
            RunConfig(combination=plan.combination, recipe=plan.recipe, setting=setting, seed=seed)
            for setting in recommendation.compared
            for seed in recommendation.seeds
        ]

    def leaderboards(self) -> list[Leaderboard]:
        """Return every leaderboard."""
        return self._walk(Leaderboard, "/v1/leaderboards")

    def leaderboard(self, benchmark: str) -> Leaderboard:
        """Return one leaderboard."""
        return self._get(Leaderboard, f"/v1/leaderboards/{benchmark}")
