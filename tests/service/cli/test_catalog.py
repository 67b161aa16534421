"""``hamtune catalogue`` lists every name, and what is broken."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from ham.catalog import DATASETS, MODELS, SPARSIFIERS
from search_spaces import space_for
from service.cli.app import app


def shown(*arguments: str) -> str:
    done = CliRunner(env={"COLUMNS": "500"}).invoke(app, ["catalogue", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_name_is_listed_and_a_kind_alone() -> None:
    everything, models = shown(), shown("models")
    assert all(name in everything for name in [*SPARSIFIERS.names(), *DATASETS.names()])
    assert all(name in models for name in MODELS.names())
    assert "rigl" not in models
    assert f"searched in {space_for('rigl').id}" in shown("sparsifiers")
    assert "without HAM" in shown("sparsifiers")


def test_json_has_the_rows() -> None:
    rows = json.loads(shown("sparsifiers", "--json"))["sparsifiers"]
    assert [row["name"] for row in rows] == SPARSIFIERS.names()
    assert next(row for row in rows if row["name"] == "cs")["leaves_dense"]


def test_broken_space_of_a_plugin_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    row = replace(SPARSIFIERS.get("rigl"), name="guest", search_space="nowhere:space.toml")
    monkeypatch.setitem(SPARSIFIERS._specs, "guest", row)
    assert "cannot be used: guest" in shown("sparsifiers")
