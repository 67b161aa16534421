from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "ham.md"


@pytest.mark.parametrize(
    "name",
    [
        "optim.formula",
        "optim.ham_schedules",
        "optim.hyperbolic",
        "optim.lr_schedules",
        "theory.mirror_map",
    ],
)
def test_examples_in_docstrings_run(name: str) -> None:
    result = doctest.testmod(import_module(f"ham.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


def test_examples_of_the_page_run() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0
