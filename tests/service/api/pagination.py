"""Walking of lists by their cursors."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient


def walk(client: TestClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """Return all items of a list, page by page."""
    items: list[dict[str, Any]] = []
    while True:
        page = client.get(path, params=query).json()
        items += page["items"]
        if (cursor := page["next_cursor"]) is None:
            return items
        query["cursor"] = cursor
