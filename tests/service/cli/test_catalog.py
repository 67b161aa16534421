"""``hamtune catalog`` lists every name, and broken plug-ins."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from ham.catalog import DATASETS, MODELS, SPARSIFIERS
from search_spaces import recipes, space_for
from service.cli.app import app


def shown(*arguments: str) -> str:
    done = CliRunner(env={"COLUMNS": "500"}).invoke(app, ["catalog", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_name_is_listed_or_those_of_one_part() -> None:
    everything, models = shown(), shown("models")
    assert all(name in everything for name in [*SPARSIFIERS.names(), *DATASETS.names()])
    assert all(name in models for name in MODELS.names())
    assert "rigl" not in models
    assert f"searched in {space_for('rigl').id}" in shown("sparsifiers")
    assert "without HAM" in shown("sparsifiers")


def test_recipes_are_listed_with_their_dataset() -> None:
    listed = json.loads(shown("recipes", "--json"))["recipes"]
    assert [recipe["id"] for recipe in listed] == list(recipes())
    assert "digits, its default" in shown("recipes")


def test_earlier_name_of_the_command_is_kept_and_hidden() -> None:
    done = CliRunner().invoke(app, ["catalogue", "models", "--json"])
    assert done.stdout == shown("models", "--json")
    assert "catalogue" not in CliRunner().invoke(app, ["--help"]).stdout


def test_json_has_all_facts() -> None:
    specs = json.loads(shown("sparsifiers", "--json"))["sparsifiers"]
    assert [spec["name"] for spec in specs] == SPARSIFIERS.names()
    assert next(spec for spec in specs if spec["name"] == "cs")["leaves_dense"]


def test_broken_space_of_a_plugin_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(SPARSIFIERS.get("rigl"), name="guest", search_space="nowhere:space.toml")
    monkeypatch.setitem(SPARSIFIERS._specs, "guest", spec)
    assert "cannot be used: guest" in shown("sparsifiers")
