"""The web page: one template, one style sheet, one small script, nothing from other hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates

from ham.config import format_sparsity
from service import formatting
from service.api.dependencies import RecommendationId, RunId, StorageDep, StudyId
from service.clock import utc_now
from service.domain.evidence.plots import pareto_front_plot
from service.domain.evidence.stored_pareto_fronts import stored_pareto_front
from service.web.catalog import catalogue
from service.web.home import overview
from service.web.measures import run_page, study_page
from service.web.surface_map import HEIGHT, WIDTH, surface_map

_HERE = Path(__file__).parent
_templates = Jinja2Templates(directory=_HERE / "templates")
_templates.env.filters |= {
    "percent": formatting.percent,
    "points": formatting.points,
    "interval": formatting.interval,
    "strength": formatting.strength,
    "joint": formatting.joint_notes,
    "optimum": formatting.optimum_sentences,
    "range": formatting.searched_range,
    "early_stopping": formatting.early_stopping_sentence,
    "duration": formatting.duration,
    "amount": formatting.amount,
    "count": formatting.count,
    "sparsity": format_sparsity,
}
_templates.env.globals |= {
    "stage": formatting.stage,
    "front_intervals": formatting.FRONT_INTERVALS,
}
_templates.env.trim_blocks = _templates.env.lstrip_blocks = True

router = APIRouter(include_in_schema=False)


def add_pages(app: FastAPI) -> None:
    """Serve the page at ``/`` and its assets at ``/assets``."""
    app.include_router(router)
    app.mount("/assets", StaticFiles(directory=_HERE / "static"), name="assets")


@router.get("/favicon.ico")
def favicon() -> Response:
    """Send browsers that ask at the old address to the picture."""
    return RedirectResponse("/assets/favicon.svg", status_code=308)


@router.get("/")
def front_page(request: Request, storage: StorageDep) -> Response:
    """Show leaderboards, recommendations and the studies under way."""
    context = {"page": overview(storage, utc_now()), "address": str(request.base_url).rstrip("/")}
    return _page(request, "front.html", context)


@router.get("/catalogue")
def catalogue_page(request: Request) -> Response:
    """Show what can be named in a study, and which plug-ins are broken."""
    return _page(request, "catalogue.html", {"page": catalogue()})


@router.get("/studies/{study_id}")
def show_study(request: Request, study_id: StudyId, storage: StorageDep) -> Response:
    """Show a study's runs and their measures."""
    return _page(request, "study.html", {"page": study_page(storage, study_id)})


@router.get("/runs/{run_id}")
def show_run(request: Request, run_id: RunId, storage: StorageDep) -> Response:
    """Show all that is known of a run."""
    return _page(request, "run.html", {"page": run_page(storage, run_id)})


@router.get("/recommendations/{recommendation_id}/surface.svg")
def show_surface(
    request: Request, recommendation_id: RecommendationId, storage: StorageDep
) -> Response:
    """Draw the response surface behind a recommendation, which never changes."""
    drawn = surface_map(storage.recommendations.surface(recommendation_id))
    return _templates.TemplateResponse(
        request,
        "surface.svg",
        {"map": drawn, "width": WIDTH, "height": HEIGHT},
        headers={"Cache-Control": "private, max-age=86400, immutable"},
        media_type="image/svg+xml",
    )


@router.get("/studies/{study_id}/front.svg")
def show_front(study_id: StudyId, storage: StorageDep) -> Response:
    """Draw the Pareto front of a study, which never changes."""
    return Response(
        pareto_front_plot(stored_pareto_front(storage, study_id)),
        headers={"Cache-Control": "private, max-age=86400, immutable"},
        media_type="image/svg+xml",
    )


def _page(request: Request, template: str, context: dict[str, Any]) -> Response:
    headers = {"Content-Security-Policy": "default-src 'self'", "Cache-Control": "no-store"}
    return _templates.TemplateResponse(request, template, context, headers=headers)
