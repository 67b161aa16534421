"""Answers lookups from memory, never with anything older than the newest recommendation.

Recommendations and leaderboards change only when a study succeeds, and the database can say in one
indexed read whether one has since. So an answer is kept as bytes, together with the version of the
recommendations that it was made from, and is sent again only after a look that *began after the
request arrived* has found the same version. Requests that wait at the same time share one look.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATHS = ("/v1/recommendations", "/v1/leaderboards")
_MOST_KEPT = 10_000


class Kept(NamedTuple):
    """An answer, and the version of the recommendations that it was made from."""

    version: int
    etag: str
    content_type: str
    body: bytes


class Lookups:
    """ASGI middleware around lookups: validated memory, ``ETag`` and 304.

    Args:
        app: what makes the answers.
        version: reads the version of the recommendations; it grows with each new one.
    """

    def __init__(self, app: ASGIApp, version: Callable[[], int]) -> None:
        self._app = app
        self._version = SharedLook(version)
        self._kept: OrderedDict[tuple[str, bytes], Kept] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from memory, or let the application answer and keep what it said."""
        lookup = scope["type"] == "http" and scope["method"] == "GET"
        if not (lookup and scope["path"].startswith(PATHS)):
            return await self._app(scope, receive, send)
        key = (scope["path"], scope["query_string"])
        version = await self._version()
        kept = self._kept.get(key)
        if kept is None or kept.version != version:
            kept = await self._ask(scope, receive, send, version)
            if kept is None:
                return
            self._keep(key, kept)
        await _answer(scope, send, kept)

    async def _ask(self, scope: Scope, receive: Receive, send: Send, version: int) -> Kept | None:
        """Return what the application answers; what is no success is passed on, not kept."""
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
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        content_type = Headers(raw=start["headers"])["content-type"]
        return Kept(version, etag, content_type, bytes(body))

    def _keep(self, key: tuple[str, bytes], kept: Kept) -> None:
        self._kept[key] = kept
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)


class SharedLook:
    """Reads once for all who asked before the read began.

    Args:
        read: called in a thread.
    """

    def __init__(self, read: Callable[[], int]) -> None:
        self._read = read
        self._next: asyncio.Future[int] | None = None
        self._task: asyncio.Task[None] | None = None

    async def __call__(self) -> int:
        """Return the result of a read that begins after this call."""
        if self._next is None:
            loop = asyncio.get_running_loop()
            self._next = loop.create_future()
            if self._task is None:
                self._task = loop.create_task(self._work())
        return await asyncio.shield(self._next)

    async def _work(self) -> None:
        while (waiting := self._next) is not None:
            self._next = None
            try:
                waiting.set_result(await run_in_threadpool(self._read))
            except Exception as error:
                waiting.set_exception(error)
        self._task = None


async def _answer(scope: Scope, send: Send, kept: Kept) -> None:
    known = Headers(scope=scope).get("if-none-match", "")
    unchanged = known == "*" or kept.etag in (
        tag.strip().removeprefix("W/") for tag in known.split(",")
    )
    headers = MutableHeaders({"etag": kept.etag, "cache-control": "no-cache"})
    body = b"" if unchanged else kept.body
    if not unchanged:
        headers["content-type"] = kept.content_type
        headers["content-length"] = str(len(body))
    status = 304 if unchanged else 200
    await send({"type": "http.response.start", "status": status, "headers": headers.raw})
    await send({"type": "http.response.body", "body": body})
