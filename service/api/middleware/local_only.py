"""Restricts a service without keys to its own machine."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.errors.problems import problem
from service.settings import is_loopback

_PROXY_HEADERS = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"via")


class LocalOnly:
    """ASGI middleware: refuses requests that name another host than localhost.

    Listening on loopback is not enough. A web site can give its own name the address 127.0.0.1
    and so make a browser send requests here (DNS rebinding). A reverse proxy on this machine
    passes on requests of other machines.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] == "http":
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            proxied = any(name in _PROXY_HEADERS for name, _ in scope["headers"])
            if proxied or not hosts or not _is_local(hosts[0]):
                detail = (
                    "this service runs without keys, so it answers only its own machine, as "
                    "localhost; set HAMTUNE_REQUIRE_KEYS=true to serve others"
                )
                return await problem(403, detail, scope["path"])(scope, receive, send)
        await self._app(scope, receive, send)


@lru_cache(maxsize=64)
def _is_local(host: bytes) -> bool:
    return is_loopback(urlsplit(f"//{host.decode('latin-1')}").hostname or "")
