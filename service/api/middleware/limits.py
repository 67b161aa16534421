"""How often a caller may ask, and how much may be sent at once."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MOST_CALLERS = 10_000


class Buckets:
    """Token buckets by caller; those longest unused are forgotten first.

    Args:
        rate: tokens per second that flow in.
        at_once: tokens that a full bucket holds.
        clock: seconds, never going back.
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

        A cost of 0 asks whether there is a whole token, and takes none.
        """
        now = self._clock()
        tokens, then = self._buckets.pop(caller, (self._size, now))
        tokens = min(self._size, tokens + self._rate * (now - then))
        missing = max(cost, 1.0) - tokens
        self._buckets[caller] = (tokens if missing > 0 else tokens - cost, now)
        if len(self._buckets) > _MOST_CALLERS:
            self._buckets.popitem(last=False)
        return max(0.0, missing / self._rate)


class BodyLimit:
    """ASGI middleware: refuses bodies above a size with 413, announced or not.

    FastAPI's own ``max_body_size`` does the same, but answers in plain text.

    Args:
        app: what lies behind.
        largest: bytes.
    """

    def __init__(self, app: ASGIApp, largest: int) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what the application reads; the error is told where it reads."""
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
