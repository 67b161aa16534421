"""A thin client of the service. Imports neither torch nor FastAPI.

In a training script:

    from ham import HAM
    from ham.client.client import recommend

    optimizer = HAM(base, **recommend("digits_cnn", "digits", "random", sparsity=0.9))
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, TypeVar
from uuid import uuid4

import httpx2
from pydantic import BaseModel, RootModel

from ham.client.address import service_url
from ham.client.records import (
    Command,
    EarlyStoppingReport,
    Evidence,
    Leaderboard,
    Page,
    ParetoFront,
    PlanView,
    Purpose,
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
from ham.config import RunConfig

NOT_FOUND = 404
_ATTEMPTS = 3
_SECONDS_BETWEEN_ATTEMPTS = 0.5

M = TypeVar("M", bound=BaseModel)


class ClientError(Exception):
    """Base of what the client raises."""


class ServiceNotRunning(ClientError):
    """Nothing answers at the address."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        super().__init__(
            f"no hamtune service answers at {url} ({reason}); start one with `hamtune serve`, "
            "or name another with --url or HAMTUNE_URL"
        )


class RequestRefused(ClientError):
    """The service answered with a problem.

    Attributes:
        status: HTTP status.
        errors: the fields that broke a rule, each with ``field``, ``value`` and ``allowed``.
    """

    def __init__(self, status: int, detail: str, errors: list[dict[str, Any]]) -> None:
        self.status = status
        self.errors = errors
        super().__init__(detail)


class NotTuned(UserWarning):
    """The setting was carried over: nothing was trained for this combination."""


class TunedJointly(UserWarning):
    """The setting helps together with more than alpha and beta, which the message names."""


class Recommended(Mapping[str, float]):
    """A recommended setting: unpacks to ``alpha`` and ``beta``, and carries its evidence.

    Attributes:
        setting: all of it, for ``ham.StrengthSchedule`` where alpha or beta has a schedule.
        alpha, beta: what HAM takes.
        learning_rate, weight_decay: to give the base optimizer; None where the recipe's are meant.
    """

    def __init__(self, recommendation: Recommendation | Untuned) -> None:
        self.recommendation = recommendation
        self.setting = recommendation.setting
        self.alpha = recommendation.setting.alpha
        self.beta = recommendation.setting.beta
        tuned = recommendation if isinstance(recommendation, Recommendation) else None
        self.learning_rate = tuned and tuned.learning_rate
        self.weight_decay = tuned and tuned.weight_decay

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What every confirmed setting reached, no HAM among them; empty where untuned."""
        found = self.recommendation
        return found.evidence if isinstance(found, Recommendation) else ()

    def __getitem__(self, name: str) -> float:
        if name not in ("alpha", "beta"):
            raise KeyError(name)
        return float(getattr(self, name))

    def __iter__(self) -> Iterator[str]:
        return iter(("alpha", "beta"))

    def __len__(self) -> int:
        return 2

    def __repr__(self) -> str:
        return f"Recommended(alpha={self.alpha!r}, beta={self.beta!r}): {self}"

    def __str__(self) -> str:
        return self.recommendation.message


class Client:
    """Talks to one service.

    Args:
        url: its address; found by :func:`ham.client.address.service_url` if left out.
        timeout: seconds to wait for an answer.
        key: an API key; that in HAMTUNE_API_KEY if left out.
    """

    def __init__(
        self, url: str | None = None, timeout: float = 30.0, key: str | None = None
    ) -> None:
        self.url = url or service_url()
        key = key or os.environ.get("HAMTUNE_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            self._http = httpx2.Client(base_url=self.url, timeout=timeout, headers=headers)
        except httpx2.InvalidURL as error:
            raise ServiceNotRunning(self.url, str(error)) from error

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def instance(self) -> str:
        """Return the id of the running process; a new one after every start."""
        return str(self._send("GET", "/healthz").json()["instance"])

    def submit(self, request: StudyRequest, idempotency_key: str | None = None) -> StudyView:
        """Ask for a study; the same key and request give the same study.

        A key is made up if left out, so that a request whose answer was lost is safely repeated.
        """
        body = request.model_dump(mode="json")
        return self._post(StudyView, "/v1/studies", idempotency_key, json=body)

    def sweep(self, request: SweepRequest, idempotency_key: str | None = None) -> SweepView:
        """Ask for many combinations at once."""
        body = request.model_dump(mode="json")
        return self._post(SweepView, "/v1/sweeps", idempotency_key, json=body)

    def sweep_progress(self, sweep_id: str) -> SweepView:
        """Return a sweep and how far it is."""
        return self._get(SweepView, f"/v1/sweeps/{sweep_id}")

    def rerun(self, study_id: str, idempotency_key: str | None = None) -> StudyView:
        """Ask again for what an earlier study was asked."""
        return self._post(StudyView, f"/v1/studies/{study_id}/rerun", idempotency_key)

    def command(self, study_id: str, command: Command, reason: str | None = None) -> StudyView:
        """Cancel, pause, resume or drain a study."""
        body = {"reason": reason} if reason else None
        response = self._send("POST", f"/v1/studies/{study_id}/{command.value}", json=body)
        return StudyView.model_validate_json(response.content)

    def change(self, study_id: str, change: StudyChange) -> StudyView:
        """Give a study another priority or budget."""
        body = change.model_dump(mode="json", exclude_none=True)
        response = self._send("PATCH", f"/v1/studies/{study_id}", json=body)
        return StudyView.model_validate_json(response.content)

    def plan(self, request: StudyRequest) -> PlanView:
        """Return what a study would run and cost, without asking for it."""
        body = request.model_dump(mode="json")
        response = self._send("POST", "/v1/studies/plan", json=body)
        return PlanView.model_validate_json(response.content)

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
        """Return the paired runs behind a recommendation: no HAM and the best setting found.

        Where learning rate or weight decay was tuned, no HAM is tuned too, and no HAM at the
        recipe's own values comes third.

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

    def _get(self, model: type[M], path: str, /, **query: Any) -> M:
        query = {name: value for name, value in query.items() if value is not None}
        return model.model_validate_json(self._send("GET", path, params=query).content)

    def _walk(self, item: type[M], path: str, /, **query: Any) -> list[M]:
        """Return the items of all pages."""
        items: list[M] = []
        cursor: str | None = None
        while True:
            page = self._get(Page[item], path, cursor=cursor, **query)  # type: ignore[valid-type]
            items += page.items
            if (cursor := page.next_cursor) is None:
                return items

    def _post(self, model: type[M], path: str, key: str | None, **options: Any) -> M:
        """Send once, whatever becomes of the connection: the key stands for the request."""
        headers = {"Idempotency-Key": key or str(uuid4())}
        for attempt in range(_ATTEMPTS):
            try:
                response = self._send("POST", path, headers=headers, **options)
            except ServiceNotRunning:
                if attempt + 1 == _ATTEMPTS:
                    raise
                time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
            else:
                break
        return model.model_validate_json(response.content)

    def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx2.TransportError as error:
            raise ServiceNotRunning(self.url, str(error) or type(error).__name__) from error
        if response.is_success:
            return response
        raise _refusal(response)


def _refusal(response: httpx2.Response) -> ClientError:
    if response.headers.get("content-type", "") != "application/problem+json":
        reason = f"what answers there is no hamtune service: status {response.status_code}"
        return ServiceNotRunning(str(response.url.copy_with(raw_path=b"/")), reason)
    body = response.json()
    return RequestRefused(response.status_code, body["detail"], body["errors"])


def recommend(
    model: str,
    dataset: str,
    sparsifier: str,
    sparsity: float = 0.0,
    *,
    optimizer: str = "sgd",
    recipe: str | None = None,
    transfer: bool = True,
    url: str | None = None,
) -> Recommended:
    """Look up the recommended alpha and beta of a combination.

    Args:
        transfer: for a combination that has not been tuned, carry over what helped similar ones,
            with a :class:`NotTuned` warning that says what to expect.

    Returns:
        A mapping of ``alpha`` and ``beta``, to be unpacked into ``HAM``; both are 0 where HAM is
        not shown to help. Its ``evidence`` and ``recommendation`` say why. Where more was tuned
        jointly, a :class:`TunedJointly` warning names it.

    Raises:
        ServiceNotRunning: nothing answers.
        RequestRefused: a name is unknown, or the combination has not been tuned and nothing can
            be carried over.
    """
    with Client(url) as client:
        ask = client.look_up if transfer else client.recommendations
        found = ask(
            model=model,
            dataset=dataset,
            sparsifier=sparsifier,
            sparsity=sparsity,
            optimizer=optimizer,
            recipe=recipe,
        )
    if isinstance(found, list):
        if beside := found[0].train_with:
            told = f"alpha and beta were tuned to be used with {', '.join(beside)}"
            if {found[0].setting.alpha_schedule, found[0].setting.beta_schedule} != {"constant"}:
                told += "; ham.StrengthSchedule sets them step by step (docs/ham.md)"
            warnings.warn(told, TunedJointly, stacklevel=2)
        return Recommended(found[0])
    warnings.warn(found.message, NotTuned, stacklevel=2)
    return Recommended(found)
