"""Registries: rows that can be listed without what they name, plug-ins under the same rules."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest

from ham.catalog import DATASETS, MODELS, OPTIMIZERS, SPARSIFIERS
from ham.errors import HamError, InvalidConfig, UnknownName
from ham.registry import Registry, Row

ALL = [row for registry in (DATASETS, MODELS, OPTIMIZERS, SPARSIFIERS) for row in registry]
GROUP = "hamtune.tests"
PLUGIN = Row(name="plugin", title="Plug-in", factory="json:loads", description="A row.")


def a_row(name: str, factory: str = "json:dumps") -> Row:
    return Row(name=name, title=name, factory=factory, description="A row.")


TAKEN = a_row("one", "json:loads")


def registry(*rows: Row) -> Registry[Row]:
    return Registry("thing", rows, group=GROUP, kind=Row)


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages offer rows: one good, one that cannot be imported, one taken, one that is none."""
    offered = [
        EntryPoint("plugin", f"{__name__}:PLUGIN", GROUP),
        EntryPoint("gone", "no_such_module:ROW", GROUP),
        EntryPoint("taken", f"{__name__}:TAKEN", GROUP),
        EntryPoint("no_row", "json:dumps", GROUP),
    ]
    monkeypatch.setattr(
        "ham.registry.entry_points", lambda group: offered if group == GROUP else []
    )


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.factory)
def test_every_row_names_something_that_is_there(row: Row) -> None:
    assert callable(row.load())
    assert row.title and row.description.endswith(".")


def test_rows_are_listed_in_order_and_by_pattern() -> None:
    rows = registry(a_row("b1"), a_row("a1"), a_row("a2"))
    assert rows.names() == ["b1", "a1", "a2"]
    assert [row.name for row in rows.list("a*")] == ["a1", "a2"]
    assert "a1" in rows and "c" not in rows


def test_unknown_name_offers_what_is_close() -> None:
    with pytest.raises(UnknownName, match=r"thing='alpa'.*did you mean 'alpha'"):
        registry(a_row("alpha"), a_row("omega")).get("alpa")


def test_name_that_is_taken_is_refused_with_both_factories() -> None:
    rows = registry(a_row("one", "json:dumps"))
    with pytest.raises(HamError, match="json:dumps and json:loads"):
        rows.add(a_row("one", "json:loads"))


def test_plugin_rows_stand_beside_the_built_in_ones(plugins: None) -> None:
    rows = registry(a_row("one"))
    assert rows.names() == ["one", "plugin"]
    assert rows.get("plugin").load()("[1]") == [1]


def test_broken_plugin_is_told_and_takes_nothing_down(plugins: None) -> None:
    rows = registry(a_row("one"))
    assert rows.get("one").factory == "json:dumps"
    errors = {plugin.name: plugin.error for plugin in rows.plugins()}
    assert errors["plugin"] is None
    assert "no_such_module" in (errors["gone"] or "")
    assert "registered twice: json:dumps and json:loads" in (errors["taken"] or "")
    assert "registered by a Row, but this is a function" in (errors["no_row"] or "")


def test_installed_packages_are_asked_for_plugins() -> None:
    assert registry().names() == []
    assert not importlib.metadata.entry_points(group=GROUP)


@pytest.mark.parametrize("gpus", [1.5, -1, 2.25])
def test_model_fills_a_share_of_a_gpu_or_whole_ones(gpus: float) -> None:
    row = MODELS.get("resnet20")
    assert [replace(row, gpus=whole).gpus for whole in (0.5, 1, 4)] == [0.5, 1, 4]
    with pytest.raises(InvalidConfig, match="whole number"):
        replace(row, gpus=gpus)
