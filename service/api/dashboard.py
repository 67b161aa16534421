"""The Optuna dashboard, read-only.

Its pages request absolute addresses (/static, /api). These are routed to it as well as /dashboard.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast

from a2wsgi import WSGIMiddleware
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.errors.problems import problem, unavailable

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

logger = logging.getLogger(__name__)

_DATABASE_PATHS = ("/api/", "/csv/")
_PATHS = (
    "/dashboard",
    "/dashboard/{rest:path}",
    "/static/{rest:path}",
    "/api/{rest:path}",
    "/csv/{rest:path}",
)


def add_dashboard(app: FastAPI, dashboard: OptunaDashboard) -> None:
    """Route all addresses of the dashboard to it."""
    app.router.routes.extend(Route(path, dashboard, include_in_schema=False) for path in _PATHS)


class OptunaDashboard:
    """An ASGI application that loads the dashboard at its first request.

    Its import takes seconds (scikit-learn, pandas). The start of the API does not wait for it.

    Args:
        database: SQLAlchemy URL of Optuna's storage.
        ping: raises if the database is unavailable.
    """

    def __init__(self, database: str, ping: Callable[[], object]) -> None:
        self._database = database
        self._ping = ping
        self._loaded: _Loaded | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET and HEAD; refuse every other method."""
        if scope["method"] not in ("GET", "HEAD"):
            detail = "the Optuna dashboard is read-only here; studies are changed through /v1"
            refusal = problem(405, detail, scope["path"], headers={"Allow": "GET, HEAD"})
            return await refusal(scope, receive, send)
        try:
            loaded = await self._load()
        except Exception:  # not stored: the next request tries again
            logger.exception("the Optuna dashboard cannot be loaded")
            detail = "the Optuna dashboard cannot be loaded; the service's log says why"
            return await unavailable(detail, scope["path"])(scope, receive, send)
        if scope["path"].startswith(_DATABASE_PATHS):
            await run_in_threadpool(self._ping)  # without it the dashboard would answer 500
        app = cast(ASGIApp, loaded.app)
        await app(_with_accept_encoding(scope), receive, send)

    def close(self) -> None:
        """Release connections and threads, if the dashboard was loaded."""
        if self._loaded is not None:
            self._loaded.app.executor.shutdown()
            self._loaded.storage.engine.dispose()
            self._loaded = None

    async def _load(self) -> _Loaded:
        async with self._loading:
            if self._loaded is None:
                self._loaded = await asyncio.to_thread(_load, self._database)
            return self._loaded


class _Loaded(NamedTuple):
    app: WSGIMiddleware
    storage: RDBStorage


def _load(database: str) -> _Loaded:
    """Import the dashboard and open Optuna's storage; missing tables are created."""
    import optuna_dashboard  # lazy: see OptunaDashboard
    from optuna.storages import RDBStorage  # lazy: the same

    # Another process writes to the same SQLite file: wait for its lock, up to 30 s.
    sqlite = database.startswith("sqlite")
    options = {"connect_args": {"timeout": 30}} if sqlite else {"pool_pre_ping": True}
    storage = RDBStorage(database, engine_kwargs=options)
    return _Loaded(WSGIMiddleware(optuna_dashboard.wsgi(storage)), storage)


def _with_accept_encoding(scope: Scope) -> Scope:
    """Add the Accept-Encoding header if it is missing: the dashboard fails without it."""
    if any(name == b"accept-encoding" for name, _ in scope["headers"]):
        return scope
    return {**scope, "headers": [*scope["headers"], (b"accept-encoding", b"identity")]}
