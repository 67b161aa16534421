"""The page on sparsifiers runs, and names every method."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

from ham.names import SPARSIFIERS

PAGE = Path(__file__).parents[3] / "docs" / "sparsifiers.md"


def test_examples_on_the_page_run() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted >= 8
    assert result.failed == 0


@pytest.mark.parametrize("name", ["topk", "dynamic"])
def test_examples_in_docstrings_run(name: str) -> None:
    result = doctest.testmod(import_module(f"ham.sparsity.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


def test_page_names_every_registered_method() -> None:
    page = PAGE.read_text()
    assert [name for name in SPARSIFIERS.names() if f"`{name}`" not in page] == []
