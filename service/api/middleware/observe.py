"""Every request: an id, a line in the log, a place in the metrics; and an answer if it broke."""

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

    An ``X-Request-ID`` that the caller or its proxy sends is kept, else one is made; it stands in
    the answer and in every line that is logged on the way.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note what became of it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = sent.decode() if _ID.fullmatch(sent) else secrets.token_hex(8)
        began, status = time.perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                header = (b"x-request-id", request_id.encode())
                message = {**message, "headers": [*message.get("headers", []), header]}
            await send(message)

        with bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, noted)
            except Unavailable as error:
                logger.warning("%s", error.__cause__ or error)
                if status:
                    raise
                await unavailable(str(error), scope["path"])(scope, receive, noted)
            except Exception as error:
                logger.exception("a request broke", extra={"path": scope["path"]})
                if status:  # too late to say so in the answer
                    raise
                detail = (
                    f"an error that should not happen ({type(error).__name__}); the service's "
                    f"log has more under request_id {request_id}"
                )
                await problem(500, detail, scope["path"])(scope, receive, noted)
            finally:
                self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        # The template, never the path: ids would make a series each.
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
