"""The gate before every address: who asks, may they, and not too often.

Programs send ``Authorization: Bearer KEY``. Browsers ask their user once, by HTTP Basic, and take
the key as the password: the page, /docs, the dashboard and event streams then work unchanged.
Since a browser sends such credentials along with whatever another site makes it send, a request
that changes something and comes from another site is refused.
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
SECONDS_KEPT = 10.0
"""A revoked key is refused after so long at the latest, in every process."""
_MOST_KEPT = 10_000
_KEY = re.compile("hamtune_[0-9a-z]{26}_")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_WRONG_KEYS_PER_SECOND, _WRONG_KEYS_AT_ONCE = 0.2, 20


class Gate:
    """ASGI middleware; puts the :class:`Principal` into the request's state.

    Args:
        app: what lies behind.
        keys: the keys there are.
        required: whether a key is demanded; without, everybody may do everything.
        requests_per_second: what each key may ask on average, four seconds' worth at once;
            unlimited if None. Each process counts for itself.
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
        """Let the request pass, or answer with the problem."""
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
                return _no_key(path, headers, "a key is needed")
            if wait := self._wrong.wait(caller, cost=0):
                return _too_often(path, wait)
            found = await self._principal(token)
            if found is None:
                self._wrong.wait(caller)
                return _no_key(path, headers, "this key is not valid, or was revoked")
            principal, caller = found, str(found.key_id)
        if self._requests is not None and (wait := self._requests.wait(caller)):
            return _too_often(path, wait)
        scope.setdefault("state", {})["principal"] = principal
        return _refusal(scope, headers, principal)

    async def _principal(self, token: str) -> Principal | None:
        digest, now = hashlib.sha256(token.encode()).digest(), time.monotonic()
        if (known := self._known.get(digest)) is not None and now < known[1]:
            return known[0]
        key = await run_in_threadpool(self._keys.verify, token)
        if key is None:
            self._known.pop(digest, None)
            return None
        if len(self._known) >= _MOST_KEPT:
            self._known.clear()
        principal = Principal(key_id=key.id, scope=key.scope)
        self._known[digest] = principal, now + SECONDS_KEPT
        return principal


def _token(headers: Headers) -> str | None:
    """Return the key that a request carries, if it does."""
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


def _refusal(scope: Scope, headers: Headers, principal: Principal) -> Response | None:
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
    """Tell whether a browser says that another site is behind a request."""
    if (site := headers.get("sec-fetch-site")) is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def _no_key(path: str, headers: Headers, reason: str) -> Response:
    # Only a browser is told of Basic: it then asks its user.
    browser = "text/html" in headers.get("accept", "")
    challenge = 'Basic realm="hamtune", charset="UTF-8"' if browser else "Bearer"
    detail = (
        f"{reason}; send `Authorization: Bearer KEY` (the command line reads HAMTUNE_API_KEY), or "
        "give it as the password in a browser. Whoever runs the service makes keys: "
        "hamtune keys create"
    )
    return problem(401, detail, path, headers={"WWW-Authenticate": challenge})


def _misplaced_key() -> Response:
    detail = (
        "an API key stands in the address, which proxies, browsers and databases write down; send "
        "it as `Authorization: Bearer KEY`, and have this one revoked"
    )
    return problem(400, detail, "/")


def _too_often(path: str, wait: float) -> Response:
    seconds = str(max(1, round(wait)))
    detail = f"too many requests (HAMTUNE_REQUESTS_PER_SECOND); try again in {seconds} s"
    return problem(429, detail, path, headers={"Retry-After": seconds})


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "unknown"
