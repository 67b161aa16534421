"""Limits of request rates and of body sizes."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MAX_CALLERS = 10_000


class Buckets:
    """Token buckets by caller; with too many callers, the least recently used bucket is dropped.

    Args:
        rate: tokens that a bucket gains per second.
        at_once: tokens in a full bucket.
        clock: returns seconds; it never goes back.
    """

    def __init__(
        self, rate: float, at_once: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._size = at_once
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, caller: str, cost: float = 1.0) -> float:
        """Take ``cost`` tokens and return 0, or take none and return the seconds to wait.

        A cost of 0 takes none; it returns 0 if the bucket has a whole token.
        """
        now = self._clock()
        tokens, then = self._buckets.pop(caller, (self._size, now))
        tokens = min(self._size, tokens + self._rate * (now - then))
        missing = max(cost, 1.0) - tokens
        self._buckets[caller] = (tokens if missing > 0 else tokens - cost, now)
        if len(self._buckets) > _MAX_CALLERS:
            self._buckets.popitem(last=False)
        return max(0.0, missing / self._rate)


class BodyLimit:
    """ASGI middleware: refuses larger bodies with 413, with or without a Content-Length.

    FastAPI's own ``max_body_size`` does the same, but answers in plain text.

    Args:
        app: the application behind it.
        largest: size of the largest allowed body, in bytes.
    """

    def __init__(self, app: ASGIApp, largest: int) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the bytes that the application reads; beyond the limit, its read raises."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        sent = (value for name, value in scope["headers"] if name == b"content-length")
        announced = next(sent, b"0").decode("latin-1")
        expected = int(announced) if announced.isdecimal() else 0
        received = 0

        async def counted() -> Message:
            nonlocal received
            if expected > self._largest:
                raise HTTPException(413)
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._largest:
                raise HTTPException(413)
            return message

        await self._app(scope, counted, send)
