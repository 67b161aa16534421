"""For whoever operates the service: is it up, is it ready."""

from __future__ import annotations

import logging
from importlib.metadata import version

from fastapi import APIRouter, Request, Response

from ham.client.records import Health
from service.api.dependencies import StorageDep
from service.api.errors.problems import documented, unavailable

logger = logging.getLogger(__name__)
router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is the process up?")
def healthz(request: Request) -> Health:
    """Answer as long as the process lives, whatever the database does."""
    return _health(request)


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """Answer Prometheus: this process's requests, and what the database says is going on."""
    content, media_type = request.app.state.metrics.page()
    return Response(content, media_type=media_type)


@router.get("/readyz", summary="Can it serve?", response_model=Health, responses=documented(503))
def readyz(request: Request, storage: StorageDep) -> Health | Response:
    """Answer 200 where the database answers and has its tables, else 503."""
    try:
        storage.monitor.check()
    except Exception as error:  # whatever it is, the answer is "not ready"
        logger.warning("not ready: %s", error)
        detail = (
            f"the database does not answer as it should ({type(error).__name__}); the log has "
            "more. Is it up, and did `hamtune migrate` run?"
        )
        return unavailable(detail, request.url.path)
    return _health(request)


def _health(request: Request) -> Health:
    return Health(status="ok", version=version("hamtune"), instance=request.app.state.instance)
