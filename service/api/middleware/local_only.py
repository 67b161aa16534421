"""Keeps a service without keys to its own machine, whatever a browser or a proxy makes of it."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.errors.problems import problem
from service.settings import is_loopback

_LEFT_BY_PROXIES = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"via")


class LocalOnly:
    """ASGI middleware: refuses requests that were meant for another name than this machine's.

    Listening on loopback alone does not do it. A web site can give its own name the address
    127.0.0.1 and have a browser talk to us (DNS rebinding), and a reverse proxy on this machine
    passes on what comes from elsewhere.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass, or answer 403."""
        if scope["type"] == "http":
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            passed_on = any(name in _LEFT_BY_PROXIES for name, _ in scope["headers"])
            if passed_on or not hosts or not _is_ours(hosts[0]):
                detail = (
                    "this service runs without keys, so it answers only to its own machine, as "
                    "localhost; set HAMTUNE_REQUIRE_KEYS=true to serve others"
                )
                return await problem(403, detail, scope["path"])(scope, receive, send)
        await self._app(scope, receive, send)


@lru_cache(maxsize=64)
def _is_ours(host: bytes) -> bool:
    return is_loopback(urlsplit(f"//{host.decode('latin-1')}").hostname or "")
