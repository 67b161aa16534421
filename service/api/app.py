"""Puts the API together. Imports neither torch nor Ray, and Optuna only when its page is asked."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline

from service.api.dashboard import OptunaDashboard, add_dashboard
from service.api.docs_page import add_docs_page
from service.api.errors.handlers import add_error_handlers
from service.api.event_feed import EventFeed
from service.api.metrics import Metrics
from service.api.middleware.gate import Gate
from service.api.middleware.headers import SecurityHeaders
from service.api.middleware.limits import BodyLimit
from service.api.middleware.observe import Observe
from service.api.openapi import describe
from service.api.response_cache import ResponseCache
from service.api.routes import (
    benchmarks,
    bundles,
    catalog,
    combinations,
    events,
    exports,
    external_results,
    health,
    leaderboards,
    logs,
    pareto_fronts,
    recommendations,
    runs,
    studies,
    study_commands,
    surfaces,
    sweeps,
)
from service.settings import Settings
from service.storage import Storage, open_storage
from service.web.pages import add_pages

DESCRIPTION = """
Tuned, evidence-backed settings (alpha, beta) of Hyperbolic Aware Minimization for sparse training.

**To submit a study**, open *Submit a study* below, press *Try it out*, then *Execute*: the example
is complete. The answer's `id` goes into *Show a study*, which tells how far it is. When it has
succeeded, *Look up recommended settings* answers.

Accuracies and sparsities are fractions; times are UTC. Every error is a problem (RFC 9457) whose
`detail` says what to do. Lists come in pages: send `next_cursor` back as `cursor`.
"""

_TAGS = [
    {"name": "studies", "description": "Ask for a combination to be tuned, and watch."},
    {"name": "sweeps", "description": "Many combinations in one request."},
    {"name": "events", "description": "What happens to studies, while it happens."},
    {"name": "recommendations", "description": "Which alpha and beta to use, and why."},
    {"name": "leaderboards", "description": "Methods ranked under equal conditions."},
    {"name": "runs", "description": "The trainings behind every number."},
    {"name": "exports", "description": "Everything there is, to take along."},
    {"name": "catalogue", "description": "What can be named in a request."},
    {"name": "health", "description": "For whoever operates the service."},
]


ROUTES = (
    studies,
    study_commands,
    sweeps,
    events,
    recommendations,
    surfaces,
    combinations,
    leaderboards,
    benchmarks,
    runs,
    external_results,
    logs,
    bundles,
    pareto_fronts,
    exports,
    catalog,
    health,
)
_DOCS_ASSETS = "/docs-assets"


def create_app(settings: Settings, storage: Storage | None = None) -> FastAPI:
    """Return the application.

    Args:
        settings: where the databases are.
        storage: an open storage; the one that the settings name if left out. Its tables must be
            there (``hamtune migrate``).
    """
    storage = storage or open_storage(settings)
    dashboard = OptunaDashboard(settings.optuna_database, storage.monitor.check)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        dashboard.close()

    app: FastAPI = FastAPIOffline(
        title="hamtune",
        version=version("hamtune"),
        description=DESCRIPTION,
        openapi_tags=_TAGS,
        redoc_url=None,
        lifespan=lifespan,
        static_url=_DOCS_ASSETS,
        docs_url=None,
        generate_unique_id_function=_operation_id,
        swagger_ui_parameters={"defaultModelsExpandDepth": 0, "tryItOutEnabled": True},
    )
    app.state.settings = settings
    app.state.storage = storage
    app.state.metrics = Metrics(storage.monitor)
    app.state.feed = EventFeed(storage)
    app.state.instance = secrets.token_hex(8)
    for module in ROUTES:
        app.include_router(module.router)
    add_docs_page(app, _DOCS_ASSETS)
    add_pages(app)
    add_dashboard(app, dashboard)
    add_error_handlers(app)
    app.add_middleware(ResponseCache, store=storage.recommendations)
    app.add_middleware(BodyLimit, largest=settings.max_request_bytes)
    app.add_middleware(
        Gate,
        keys=storage.keys,
        required=settings.keys_required,
        requests_per_second=settings.requests_per_second,
    )
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Observe, metrics=app.state.metrics)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
