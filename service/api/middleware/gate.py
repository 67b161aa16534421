"""The gate before every address: API keys, their scopes, and request rates.

Programs send ``Authorization: Bearer KEY``. Browsers ask their user once, by HTTP Basic, and send
the key as the password; the pages, /docs, the dashboard and event streams need nothing else.
A browser also sends these credentials with requests that another site causes. The gate therefore
refuses a request that changes something and comes from another site.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import time
from urllib.parse import urlsplit

from fastapi import Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service import records
from service.api.errors.problems import problem
from service.api.middleware.limits import Buckets
from service.records import ANYONE, Principal
from service.storage.operations.keys import KeyStore

PUBLIC = ("/healthz", "/readyz")
KEY_CACHE_SECONDS = 10.0
"""Every process refuses a revoked key after this time at the latest."""
_MAX_CACHED_KEYS = 10_000
_KEY = re.compile("hamtune_[0-9a-z]{26}_")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_WRONG_KEYS_PER_SECOND, _WRONG_KEYS_AT_ONCE = 0.2, 20


class Gate:
    """ASGI middleware; puts the :class:`Principal` into the request's state.

    Args:
        app: the application behind the gate.
        keys: the stored keys.
        required: if False, every caller may do everything without a key.
        requests_per_second: average rate that each key may have in each process; the requests of
            four seconds may come at once. Unlimited if None.
    """

    def __init__(
        self, app: ASGIApp, keys: KeyStore, required: bool, requests_per_second: float | None
    ) -> None:
        self._app = app
        self._keys = keys
        self._required = required
        rate = requests_per_second
        self._requests = None if rate is None else Buckets(rate, at_once=max(1.0, 4 * rate))
        self._wrong = Buckets(_WRONG_KEYS_PER_SECOND, at_once=_WRONG_KEYS_AT_ONCE)
        self._known: dict[bytes, tuple[Principal, float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer with a problem."""
        if scope["type"] == "http":
            answer = await self._admit(scope, Headers(scope=scope))
            if answer is not None:
                return await answer(scope, receive, send)
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope, headers: Headers) -> Response | None:
        path, caller = scope["path"], _address(scope)
        if _KEY.search(path) or _KEY.search(scope["query_string"].decode("latin-1")):
            return _misplaced_key()
        principal = ANYONE
        if self._required and path not in PUBLIC:
            if (token := _token(headers)) is None:
                return _unauthorized(path, headers, "a key is needed")
            if wait := self._wrong.wait(caller, cost=0):
                return _too_many_requests(path, wait)
            found = await self._principal(token)
            if found is None:
                self._wrong.wait(caller)
                return _unauthorized(path, headers, "this key is not valid, or was revoked")
            principal, caller = found, str(found.key_id)
        if self._requests is not None and (wait := self._requests.wait(caller)):
            return _too_many_requests(path, wait)
        scope.setdefault("state", {})["principal"] = principal
        return _check_request(scope, headers, principal)

    async def _principal(self, token: str) -> Principal | None:
        digest, now = hashlib.sha256(token.encode()).digest(), time.monotonic()
        if (known := self._known.get(digest)) is not None and now < known[1]:
            return known[0]
        key = await run_in_threadpool(self._keys.verify, token)
        if key is None:
            self._known.pop(digest, None)
            return None
        if len(self._known) >= _MAX_CACHED_KEYS:
            self._known.clear()
        principal = Principal(key_id=key.id, scope=key.scope)
        self._known[digest] = principal, now + KEY_CACHE_SECONDS
        return principal


def _token(headers: Headers) -> str | None:
    """Return the key of a request, or None without one."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return password or user


def _check_request(scope: Scope, headers: Headers, principal: Principal) -> Response | None:
    if scope["method"] in _SAFE_METHODS:
        return None
    if not headers.get("authorization", "").lower().startswith("bearer ") and _foreign(headers):
        detail = "a page of another site made your browser send this; nothing was changed"
        return problem(403, detail, scope["path"])
    if not principal.scope.allows(records.Scope.SUBMIT):
        detail = f"this key may {principal.scope.value} only; a `submit` or `admin` key is needed"
        return problem(403, detail, scope["path"])
    return None


def _foreign(headers: Headers) -> bool:
    """Return True if the browser's headers say that another site caused a request."""
    if (site := headers.get("sec-fetch-site")) is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def _unauthorized(path: str, headers: Headers, reason: str) -> Response:
    # Basic makes a browser ask its user; programs should use Bearer.
    browser = "text/html" in headers.get("accept", "")
    challenge = 'Basic realm="hamtune", charset="UTF-8"' if browser else "Bearer"
    detail = (
        f"{reason}; send `Authorization: Bearer KEY` (the command line reads HAMTUNE_API_KEY), or "
        "give it as the password in a browser. The operator of the service makes keys: "
        "hamtune keys create"
    )
    return problem(401, detail, path, headers={"WWW-Authenticate": challenge})


def _misplaced_key() -> Response:
    detail = (
        "the address contains an API key, and proxies, browsers and databases store addresses; "
        "send it as `Authorization: Bearer KEY`, and have this one revoked"
    )
    return problem(400, detail, "/")


def _too_many_requests(path: str, wait: float) -> Response:
    seconds = str(max(1, round(wait)))
    detail = f"too many requests (HAMTUNE_REQUESTS_PER_SECOND); try again in {seconds} s"
    return problem(429, detail, path, headers={"Retry-After": seconds})


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "unknown"
