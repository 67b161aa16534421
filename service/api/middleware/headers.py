"""Security headers: browsers allow the pages what they need, and nothing else."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAME_ORIGIN = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_DASHBOARD = (
    # The components of the dashboard write styles into the page; its plots are data: and blob:.
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
_ON_OTHER_PAGES = (*_HEADERS.items(), (b"content-security-policy", _SAME_ORIGIN.encode()))


class SecurityHeaders:
    """ASGI middleware: adds the security headers that a response does not have yet."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and complete the headers of the response."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        wanted = _ON_DASHBOARD if scope["path"].startswith("/dashboard") else _ON_OTHER_PAGES

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", [])
                present = {name.lower() for name, _ in headers}
                added = [header for header in wanted if header[0] not in present]
                message = {**message, "headers": [*headers, *added]}
            await send(message)

        await self._app(scope, receive, complete)
