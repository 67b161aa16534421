"""Request ids, request logs and request metrics, and an answer to unexpected errors."""

from __future__ import annotations

import logging
import re
import secrets
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from service.api.errors.problems import problem, unavailable
from service.api.metrics import Metrics
from service.errors import Unavailable

logger = logging.getLogger("hamtune.request")

_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Observe:
    """ASGI middleware, the outermost one.

    It keeps the ``X-Request-ID`` of the caller or of a proxy, or makes one. The id is in the
    response and in every log line of the request.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; count and log its outcome."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = sent.decode() if _ID.fullmatch(sent) else secrets.token_hex(8)
        started, status = time.perf_counter(), 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                header = (b"x-request-id", request_id.encode())
                message = {**message, "headers": [*message.get("headers", []), header]}
            await send(message)

        with bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, observed)
            except Unavailable as error:
                logger.warning("%s", error.__cause__ or error)
                if status:
                    raise
                await unavailable(str(error), scope["path"])(scope, receive, observed)
            except Exception as error:
                logger.exception("a request failed", extra={"path": scope["path"]})
                if status:  # too late: the response has begun
                    raise
                detail = (
                    f"an unexpected error ({type(error).__name__}); the log of the service has "
                    f"details under request_id {request_id}"
                )
                await problem(500, detail, scope["path"])(scope, receive, observed)
            finally:
                self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        # The template, never the path: every id in a path would become a series of its own.
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.request(scope["method"], route, status, seconds)
        if not logger.isEnabledFor(logging.INFO):
            return
        principal = scope.get("state", {}).get("principal")
        facts = {
            "method": scope["method"],
            "path": scope["path"],
            "route": route,
            "status": status,
            "milliseconds": round(1000 * seconds, 2),
            "key_id": principal and principal.key_id,
        }
        logger.info("request", extra=facts)
