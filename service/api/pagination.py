"""Lists in pages: the query fields of every list, and the page that answers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records import Page

T = TypeVar("T")

ULID = "[0-9a-z]{26}"
EXAMPLE_ULID = "01kb0f4q8e9w3m5r7t1v6x2y4z"


class PageQuery(BaseModel):
    """Base of the queries that choose a page and nothing else; a field it lacks is refused."""

    model_config = ConfigDict(extra="forbid")


def limit_field(default: int, *, largest: int, of: str) -> Any:
    """Return the query field that says how many items a page has, from 1 to ``largest``."""
    return Field(default, ge=1, le=largest, description=f"{of} per page.")


def cursor_field(pattern: str, example: str) -> Any:
    """Return the query field that continues a list after an earlier page.

    Args:
        pattern: regular expression that a cursor matches as a whole.
        example: a cursor.
    """
    return Field(
        None,
        pattern=f"^{pattern}$",
        description="The `next_cursor` of the page before.",
        examples=[example],
    )


def id_cursor(prefix: str) -> Any:
    """Return the cursor field of a list whose cursor is the id of its last item."""
    return cursor_field(f"{prefix}_{ULID}", f"{prefix}_{EXAMPLE_ULID}")


def number_cursor(digits: int = 9) -> Any:
    """Return the cursor field of a list whose cursor is a whole number of so many digits."""
    return cursor_field(f"[0-9]{{1,{digits}}}", "200")


def page_of(
    read: Callable[[int], Sequence[T]], *, limit: int, cursor: Callable[[T], str | int]
) -> Page[T]:
    """Return one page of a list.

    Args:
        read: returns the items after the query's cursor, at most as many as its argument says.
        limit: items of a page.
        cursor: returns the cursor that continues the list after an item.
    """
    found = read(limit + 1)  # one item more tells whether there is a next page
    items = list(found[:limit])
    more = len(found) > limit
    return Page(items=items, next_cursor=str(cursor(items[-1])) if more else None)
