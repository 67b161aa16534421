"""The Optuna dashboard, read-only, at the addresses that its pages expect.

Its pages ask for absolute addresses (/static, /api), so these are routed to it beside /dashboard.
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

_ASKS_THE_DATABASE = ("/api/", "/csv/")
_PATHS = (
    "/dashboard",
    "/dashboard/{rest:path}",
    "/static/{rest:path}",
    "/api/{rest:path}",
    "/csv/{rest:path}",
)


def add_dashboard(app: FastAPI, dashboard: OptunaDashboard) -> None:
    """Route the dashboard's addresses to it."""
    app.router.routes.extend(Route(path, dashboard, include_in_schema=False) for path in _PATHS)


class OptunaDashboard:
    """An ASGI application that loads the dashboard when it is first asked for.

    Importing it takes seconds (scikit-learn, pandas), which the API's start must not wait for.

    Args:
        database: SQLAlchemy URL of Optuna's storage.
        ping: raises where the database is away.
    """

    def __init__(self, database: str, ping: Callable[[], object]) -> None:
        self._database = database
        self._ping = ping
        self._loaded: _Loaded | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET and HEAD; refuse whatever could write."""
        if scope["method"] not in ("GET", "HEAD"):
            detail = "the Optuna dashboard is read-only here; studies are changed through /v1"
            refusal = problem(405, detail, scope["path"], headers={"Allow": "GET, HEAD"})
            return await refusal(scope, receive, send)
        try:
            loaded = await self._load()
        except Exception:  # not kept: the next request tries again
            logger.exception("the Optuna dashboard cannot be loaded")
            detail = "the Optuna dashboard cannot be loaded; the service's log says why"
            return await unavailable(detail, scope["path"])(scope, receive, send)
        if scope["path"].startswith(_ASKS_THE_DATABASE):
            await run_in_threadpool(self._ping)  # the dashboard itself would answer 500
        app = cast(ASGIApp, loaded.app)
        await app(_with_accept_encoding(scope), receive, send)

    def close(self) -> None:
        """Give back connections and threads, if it was ever loaded."""
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
    """Import the dashboard and open Optuna's storage, making its tables if they are missing."""
    import optuna_dashboard  # lazy: see OptunaDashboard
    from optuna.storages import RDBStorage  # lazy: the same

    # Another process writes to the same SQLite file: wait for it rather than fail.
    sqlite = database.startswith("sqlite")
    options = {"connect_args": {"timeout": 30}} if sqlite else {"pool_pre_ping": True}
    storage = RDBStorage(database, engine_kwargs=options)
    return _Loaded(WSGIMiddleware(optuna_dashboard.wsgi(storage)), storage)


def _with_accept_encoding(scope: Scope) -> Scope:
    """Add the header that the dashboard reads without looking whether it is there."""
    if any(name == b"accept-encoding" for name, _ in scope["headers"]):
        return scope
    return {**scope, "headers": [*scope["headers"], (b"accept-encoding", b"identity")]}
