"""Answers lookups from memory, never with anything older than the newest recommendation.

Recommendations, leaderboards and their list change only when a study succeeds, and the database
can say in one indexed read which combinations have a new recommendation since a version. So an
answer is kept as bytes until a combination that it speaks of has news, and sent again only after a
look that *began after the request arrived*. Requests that wait at the same time share one look.
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
_MOST_KEPT = 10_000
_MOST_NEWS = 100
"""After more of it at once, nothing is worth keeping."""
_PASSED_ON = (b"content-type", b"last-modified")


@dataclass(frozen=True)
class CachedResponse:
    """An answer, and what it was an answer to."""

    path: str
    query: dict[str, list[str]]
    benchmark: str | None  # whose leaderboard it is, if it is a single one
    route: Any  # what made it, for who counts requests by route
    etag: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def is_affected_by(self, combination: Combination) -> bool:
        """Tell whether a new recommendation of a combination may change the answer."""
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
    """ASGI middleware around lookups: validated memory, ``ETag`` and 304.

    Args:
        app: what makes the answers.
        store: says what is new.
    """

    def __init__(self, app: ASGIApp, store: RecommendationStore) -> None:
        self._app = app
        self._store = store
        self._look = SharedLook(self._look_for_news)
        # Of its own, so that no look waits behind slow requests for a free thread.
        self._thread = ThreadPoolExecutor(1, "lookups")
        self._seen: int | None = None
        self._kept: OrderedDict[tuple[str, bytes], CachedResponse] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from memory, or let the application answer and keep what it said."""
        lookup = scope["type"] == "http" and scope["method"] == "GET"
        if not (lookup and scope["path"].startswith(PATHS)):
            return await self._app(scope, receive, send)
        await self._look()
        kept = self._kept.get((scope["path"], scope["query_string"]))
        if kept is None:
            kept = await self._ask(scope, receive, send)
            if kept is None:
                return
        scope["route"] = kept.route
        await _answer(scope, send, kept)

    async def _look_for_news(self) -> None:
        """Forget the answers that speak of combinations with a newer recommendation."""
        loop = asyncio.get_running_loop()
        if self._seen is None:
            self._seen = await loop.run_in_executor(self._thread, self._store.version)
            return
        news = await loop.run_in_executor(self._thread, self._store.news, self._seen)
        if news:
            self._seen = news[-1][0]
        if len(news) > _MOST_NEWS:
            self._kept.clear()
            return
        for _, combination in news:
            for key in [
                key for key, kept in self._kept.items() if kept.is_affected_by(combination)
            ]:
                del self._kept[key]

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> CachedResponse | None:
        """Return what the application answers; what is no success is passed on, not kept."""
        seen = self._seen
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
        kept = CachedResponse(
            path=path,
            query=parse_qs(query.decode("latin-1"), keep_blank_values=True),
            benchmark=scope.get("path_params", {}).get("benchmark"),
            route=scope.get("route"),
            etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode(),
            headers=tuple(row for row in start["headers"] if row[0] in _PASSED_ON),
            body=bytes(body),
        )
        if seen == self._seen:  # else there may be news of it that the answer lacks
            self._kept[path, query] = kept
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return kept


class SharedLook:
    """Looks once for all who asked before the look began.

    Args:
        look: never runs twice at a time.
    """

    def __init__(self, look: Callable[[], Awaitable[None]]) -> None:
        self._look = look
        self._next: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        """Return after a look that began after this call."""
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
                await self._look()
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


async def _answer(scope: Scope, send: Send, kept: CachedResponse) -> None:
    headers = [(b"etag", kept.etag), (b"cache-control", b"no-cache")]
    unchanged = any(
        name == b"if-none-match" and _names(known, kept.etag) for name, known in scope["headers"]
    )
    body = b"" if unchanged else kept.body
    if not unchanged:
        headers += kept.headers
        headers.append((b"content-length", str(len(body)).encode()))
    status = 304 if unchanged else 200
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _names(known: bytes, etag: bytes) -> bool:
    return known == b"*" or etag in (tag.strip().removeprefix(b"W/") for tag in known.split(b","))
