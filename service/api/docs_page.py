"""Swagger UI at /docs, with all its files from this service.

The Content-Security-Policy allows its inline script by a hash.
"""

from __future__ import annotations

import base64
import hashlib
import re

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import Response

_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def add_docs_page(app: FastAPI, assets: str) -> None:
    """Serve the page.

    Args:
        app: the application that the page describes.
        assets: address of the folder with its script and style sheet.
    """
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=f"{app.title}: API",
        swagger_js_url=f"{assets}/swagger-ui-bundle.js",
        swagger_css_url=f"{assets}/swagger-ui.css",
        swagger_favicon_url="/assets/favicon.svg",
        swagger_ui_parameters=app.swagger_ui_parameters,
    ).body
    digests = [
        base64.b64encode(hashlib.sha256(script).digest()).decode()
        for script in _INLINE_SCRIPT.findall(bytes(page))
    ]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    policy = (
        f"default-src 'self'; script-src 'self' {allowed}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
    )

    @app.get("/docs", include_in_schema=False)
    async def docs_page() -> Response:
        headers = {"Content-Security-Policy": policy}
        return Response(page, media_type="text/html", headers=headers)
