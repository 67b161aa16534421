"""A cache of lookup responses that is never older than the newest recommendation.

Recommendations, leaderboards and their lists change only when a study succeeds. One indexed read
tells which combinations have a new recommendation since a version. The cache therefore keeps a
response as bytes until a combination that affects it has a new recommendation. It sends a cached
response only after a check of the database that *began after the request arrived*. Requests that
wait at the same time share one check.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ham.client.records import Benchmark, CombinationFilter
from ham.config import Combination
from service.storage.results.recommendations import RecommendationStore

_RECOMMENDATIONS = "/v1/recommendations"
PATHS = (_RECOMMENDATIONS, "/v1/leaderboards", "/v1/benchmarks")
_MAX_RESPONSES = 10_000
_MAX_CHANGES = 100
"""With more new recommendations at one check, the whole cache is emptied."""
_CACHED_HEADERS = (b"content-type", b"last-modified")


@dataclass(frozen=True)
class CachedResponse:
    """A response, and the request that it answered.

    Attributes:
        benchmark: name of the benchmark, if the response is one leaderboard.
        route: the route that made it, for the request counts of the metrics.
    """

    path: str
    query: dict[str, list[str]]
    benchmark: str | None
    route: Any
    etag: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def is_affected_by(self, combination: Combination) -> bool:
        """Return True if a new recommendation of a combination may change the response."""
        if self.path == _RECOMMENDATIONS:
            return all(
                any(
                    _is_compatible_with(text, getattr(combination, name))
                    for text in self.query[name]
                )
                for name in CombinationFilter.model_fields
                if name in self.query
            )
        return self.benchmark in (None, _benchmark(combination).name)


class ResponseCache:
    """ASGI middleware around lookups: cached responses, ``ETag`` and 304.

    Args:
        app: the application that makes the responses.
        store: the recommendations.
    """

    def __init__(self, app: ASGIApp, store: RecommendationStore) -> None:
        self._app = app
        self._store = store
        self._check = SharedCheck(self._drop_outdated)
        # A thread of its own: a check must not wait behind slow requests for a free thread.
        self._thread = ThreadPoolExecutor(1, "lookups")
        self._checked_version: int | None = None
        self._responses: OrderedDict[tuple[str, bytes], CachedResponse] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from the cache, or let the application answer and cache its response."""
        get = scope["type"] == "http" and scope["method"] == "GET"
        if not (get and scope["path"].startswith(PATHS)):
            return await self._app(scope, receive, send)
        await self._check()
        cached = self._responses.get((scope["path"], scope["query_string"]))
        if cached is None:
            cached = await self._call_app(scope, receive, send)
            if cached is None:
                return
        scope["route"] = cached.route
        await _answer(scope, send, cached)

    async def _drop_outdated(self) -> None:
        """Drop the responses that a recommendation made since the last check may change."""
        loop = asyncio.get_running_loop()
        if self._checked_version is None:
            self._checked_version = await loop.run_in_executor(self._thread, self._store.version)
            return
        changes = await loop.run_in_executor(self._thread, self._store.news, self._checked_version)
        if changes:
            self._checked_version = changes[-1][0]
        if len(changes) > _MAX_CHANGES:
            self._responses.clear()
            return
        for _, combination in changes:
            for key in [
                key
                for key, cached in self._responses.items()
                if cached.is_affected_by(combination)
            ]:
                del self._responses[key]

    async def _call_app(self, scope: Scope, receive: Receive, send: Send) -> CachedResponse | None:
        """Return the response of the application; None for an error, which is sent on uncached."""
        version_before = self._checked_version
        start: Message = {}
        body = bytearray()

        async def collect(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            if start["status"] != 200:
                await send(message)
            else:
                body.extend(message.get("body", b""))

        await self._app(scope, receive, collect)
        if start["status"] != 200:
            return None
        path, query = scope["path"], scope["query_string"]
        cached = CachedResponse(
            path=path,
            query=parse_qs(query.decode("latin-1"), keep_blank_values=True),
            benchmark=scope.get("path_params", {}).get("benchmark"),
            route=scope.get("route"),
            etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode(),
            headers=tuple(header for header in start["headers"] if header[0] in _CACHED_HEADERS),
            body=bytes(body),
        )
        # After a check in between, the response may lack a recommendation that it found.
        if version_before == self._checked_version:
            self._responses[path, query] = cached
            if len(self._responses) > _MAX_RESPONSES:
                self._responses.popitem(last=False)
        return cached


class SharedCheck:
    """Runs one check for all callers that called before the check began.

    Args:
        check: the check; it never runs twice at the same time.
    """

    def __init__(self, check: Callable[[], Awaitable[None]]) -> None:
        self._check = check
        self._next: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        """Return after a check that began after this call; raise the error of that check."""
        if self._next is None:
            loop = asyncio.get_running_loop()
            self._next = loop.create_future()
            if self._task is None:
                self._task = loop.create_task(self._work())
        await asyncio.shield(self._next)

    async def _work(self) -> None:
        while (waiting := self._next) is not None:
            self._next = None
            try:
                await self._check()
                waiting.set_result(None)
            except Exception as error:
                waiting.set_exception(error)
        self._task = None


def _is_compatible_with(text: str, value: str | float) -> bool:
    if isinstance(value, str):
        return text == value
    try:
        return float(text) == value
    except ValueError:
        return True


def _benchmark(combination: Combination) -> Benchmark:
    return Benchmark(
        model=combination.model,
        dataset=combination.dataset,
        sparsity=combination.sparsity,
        recipe=combination.recipe,
    )


async def _answer(scope: Scope, send: Send, cached: CachedResponse) -> None:
    headers = [(b"etag", cached.etag), (b"cache-control", b"no-cache")]
    unchanged = any(
        name == b"if-none-match" and _includes(known, cached.etag)
        for name, known in scope["headers"]
    )
    body = b"" if unchanged else cached.body
    if not unchanged:
        headers += cached.headers
        headers.append((b"content-length", str(len(body)).encode()))
    status = 304 if unchanged else 200
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _includes(known: bytes, etag: bytes) -> bool:
    return known == b"*" or etag in (tag.strip().removeprefix(b"W/") for tag in known.split(b","))
