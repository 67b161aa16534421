"""Keyword arguments by which lists and lookups choose combinations."""

from __future__ import annotations

from typing import TypedDict


class CombinationKeywords(TypedDict, total=False):
    """Parts of a combination; a part that is None or left out matches all."""

    model: str | None
    dataset: str | None
    sparsifier: str | None
    sparsity: float | None
    optimizer: str | None
    recipe: str | None
