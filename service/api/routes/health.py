"""Health checks and metrics for operators."""

from __future__ import annotations

import logging
from importlib.metadata import version

from fastapi import APIRouter, Request, Response

from ham.client.records import Health
from service.api.dependencies import StorageDep
from service.api.errors.problems import documented, unavailable

logger = logging.getLogger(__name__)
router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Check that the process runs")
def healthz(request: Request) -> Health:
    """Answer as long as the process runs, also without a database."""
    return _health(request)


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """Return the metrics for Prometheus: requests of this process, and numbers of the database."""
    content, media_type = request.app.state.metrics.page()
    return Response(content, media_type=media_type)


@router.get(
    "/readyz", summary="Check that it can serve", response_model=Health, responses=documented(503)
)
def readyz(request: Request, storage: StorageDep) -> Health | Response:
    """Answer 200 if the database answers and has its tables, else 503."""
    try:
        storage.monitor.check()
    except Exception as error:  # the reason does not matter: it is not ready
        logger.warning("not ready: %s", error)
        detail = (
            f"the database does not answer as it should ({type(error).__name__}); the log has "
            "details. Check that it runs, and that `hamtune migrate` was run"
        )
        return unavailable(detail, request.url.path)
    return _health(request)


def _health(request: Request) -> Health:
    return Health(status="ok", version=version("hamtune"), instance=request.app.state.instance)
