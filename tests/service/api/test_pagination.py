"""Pages of lists."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.api.pagination import page_of


@given(st.lists(st.integers(1, 1000), unique=True).map(sorted), st.integers(1, 10))
def test_pages_walk_every_item_once_in_order_and_end(numbers: list[int], limit: int) -> None:
    walked: list[int] = []
    after = 0

    def read(most: int) -> list[int]:
        return [number for number in numbers if number > after][:most]

    while True:
        page = page_of(read, limit=limit, cursor=lambda number: number)
        assert len(page.items) <= limit
        walked += page.items
        if page.next_cursor is None:
            break
        assert len(page.items) == limit, "only the last page may be short"
        after = int(page.next_cursor)
    assert walked == numbers
