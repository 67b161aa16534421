"""Headers that tell browsers what our pages may do: nothing but what they need."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAME_ORIGIN = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_DASHBOARD = (
    # Its components write their styles into the page; its plots are data: and blob: images.
    f"{_SAME_ORIGIN}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:"
)
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}


_ON_DASHBOARD = (*_HEADERS.items(), (b"content-security-policy", _DASHBOARD.encode()))
_ELSEWHERE = (*_HEADERS.items(), (b"content-security-policy", _SAME_ORIGIN.encode()))


class SecurityHeaders:
    """ASGI middleware: adds the headers that an answer does not have yet."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the headers added."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        wanted = _ON_DASHBOARD if scope["path"].startswith("/dashboard") else _ELSEWHERE

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", [])
                there = {name.lower() for name, _ in headers}
                added = [row for row in wanted if row[0] not in there]
                message = {**message, "headers": [*headers, *added]}
            await send(message)

        await self._app(scope, receive, complete)
