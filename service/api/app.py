"""The FastAPI application: routes, pages, middleware and error handlers.

It imports neither torch nor Ray. It imports Optuna at the first request for the Optuna dashboard.
"""

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
Tuned configurations (alpha, beta) of Hyperbolic Aware Minimization for sparse training, with their
evidence.

**To submit a study**, open *Submit a study* below, press *Try it out*, then *Execute*: the example
is complete. *Show a study* takes the `id` of the answer and returns the study's progress. Once the
study has succeeded, *Look up recommended configurations* returns its result.

Accuracies and sparsities are fractions; times are UTC. Every error is a problem (RFC 9457) whose
`detail` says what to do. Lists come in pages: send `next_cursor` back as `cursor`.
"""

_TAGS = [
    {"name": "studies", "description": "Tune a combination, and follow its progress."},
    {"name": "sweeps", "description": "Many combinations in one request."},
    {"name": "events", "description": "Changes of studies, as they happen."},
    {"name": "recommendations", "description": "The alpha and beta to use, with their evidence."},
    {"name": "leaderboards", "description": "Methods ranked under equal conditions."},
    {"name": "runs", "description": "The trainings behind every number."},
    {"name": "exports", "description": "Whole tables as JSON lines, CSV or Parquet."},
    {"name": "catalogue", "description": "Names that a request can use."},
    {"name": "health", "description": "Health checks for operators."},
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
        settings: settings of the service.
        storage: an open storage; by default the one that the settings name. Its tables must
            exist (``hamtune migrate``).
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
