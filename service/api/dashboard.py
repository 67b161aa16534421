"""The Optuna dashboard, read-only, at the addresses that its pages expect.

Its pages ask for absolute addresses (/static, /api), so these are routed to it beside /dashboard.
"""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from a2wsgi import WSGIMiddleware
from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.problems import problem
from service.settings import Settings

logger = logging.getLogger(__name__)

_PATHS = (
    "/dashboard",
    "/dashboard/{rest:path}",
    "/static/{rest:path}",
    "/api/{rest:path}",
    "/csv/{rest:path}",
)


def add_dashboard(app: FastAPI, settings: Settings) -> None:
    """Route the dashboard's addresses to it."""
    dashboard = OptunaDashboard(settings.optuna_database)
    app.router.routes.extend(Route(path, dashboard, include_in_schema=False) for path in _PATHS)


class OptunaDashboard:
    """An ASGI application that loads the dashboard when it is first asked for.

    Importing it takes seconds (scikit-learn, pandas), which the API's start must not wait for.

    Args:
        database: SQLAlchemy URL of Optuna's storage.
    """

    def __init__(self, database: str) -> None:
        self._database = database
        self._app: ASGIApp | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET and HEAD; refuse whatever could write."""
        if scope["method"] not in ("GET", "HEAD"):
            detail = "the Optuna dashboard is read-only here; studies are changed through /v1"
            refusal = problem(405, detail, scope["path"], headers={"Allow": "GET, HEAD"})
            return await refusal(scope, receive, send)
        try:
            async with self._loading:
                if self._app is None:
                    self._app = await asyncio.to_thread(load, self._database)
                app = self._app
        except Exception:  # not kept: the next request tries again
            logger.exception("the Optuna dashboard cannot be loaded")
            detail = "the Optuna dashboard cannot be loaded; the service's log says why"
            return await problem(503, detail, scope["path"])(scope, receive, send)
        await app(_with_accept_encoding(scope), receive, send)


def load(database: str) -> ASGIApp:
    """Import the dashboard and open Optuna's storage, making its tables if they are missing."""
    import optuna_dashboard  # lazy: see OptunaDashboard
    from optuna.storages import RDBStorage  # lazy: the same

    # Another process writes to the same SQLite file: wait for it rather than fail.
    options = {"connect_args": {"timeout": 30}} if database.startswith("sqlite") else {}
    storage = RDBStorage(database, engine_kwargs=options)
    return cast(ASGIApp, WSGIMiddleware(optuna_dashboard.wsgi(storage)))


def _with_accept_encoding(scope: Scope) -> Scope:
    """Add the header that the dashboard reads without looking whether it is there."""
    if any(name == b"accept-encoding" for name, _ in scope["headers"]):
        return scope
    return {**scope, "headers": [*scope["headers"], (b"accept-encoding", b"identity")]}
