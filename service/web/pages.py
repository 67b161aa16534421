"""The web pages: templates, one style sheet, one small script, and nothing from other hosts."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles

from service.web import catalog, home, pareto_front, run, study, surface
from service.web.templating import FOLDER

router = APIRouter(include_in_schema=False)
for page in (home, catalog, study, run, surface, pareto_front):
    router.include_router(page.router)


def add_pages(app: FastAPI) -> None:
    """Serve the pages, and their style sheet and script at ``/assets``."""
    app.include_router(router)
    app.mount("/assets", StaticFiles(directory=FOLDER / "static"), name="assets")


@router.get("/favicon.ico")
def favicon() -> Response:
    """Send browsers that ask at the usual address to the picture."""
    return RedirectResponse("/assets/favicon.svg", status_code=308)
