"""The catalog: what can be named in a request."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ham.catalog import (
    SPARSIFIERS,
    DatasetSpec,
    ModelSpec,
    OptimizerSpec,
    SparsifierSpec,
)
from ham.client.records import (
    CatalogEntry,
    DatasetView,
    ModelView,
    OptimizerView,
    SparsifierView,
)

NAMED = {"model": "digits_cnn", "dataset": "digits", "sparsifier": "random", "sparsity": 0.9}


def test_datasets_say_whether_their_data_are_here(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAM_DATA_DIR", str(tmp_path))

    def available() -> set[str]:
        datasets = client.get("/v1/datasets").json()["items"]
        return {dataset["name"] for dataset in datasets if dataset["available"]}

    assert "digits" in available() and "cifar10" not in available()
    (tmp_path / "cifar-10-batches-py").mkdir()
    assert "cifar10" in available()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/models", "digits_cnn"),
        ("/v1/datasets", "digits"),
        ("/v1/sparsifiers", "rigl"),
        ("/v1/optimizers", "sgd"),
    ],
)
def test_catalog_lists_what_can_be_named(client: TestClient, path: str, name: str) -> None:
    entries = client.get(path).json()["items"]
    assert name in {entry["name"] for entry in entries}
    assert all("factory" not in entry for entry in entries)


def test_catalog_lists_every_sparsifier_in_order(client: TestClient) -> None:
    sparsifiers = client.get("/v1/sparsifiers").json()["items"]
    assert [sparsifier["name"] for sparsifier in sparsifiers] == SPARSIFIERS.names()


def test_recipes_and_spaces_are_those_that_plans_use(client: TestClient) -> None:
    plan = client.post("/v1/studies/plan", json=NAMED).json()
    recipes = {recipe["id"]: recipe for recipe in client.get("/v1/recipes").json()["items"]}
    spaces = {space["id"]: space for space in client.get("/v1/search-spaces").json()["items"]}
    assert recipes[plan["combination"]["recipe"]]["recipe"] == plan["recipe"]
    space = plan["space"]
    assert spaces[f"{space['name']}@{space['version']}"]["alpha"] == space["alpha"]


@pytest.mark.parametrize(
    ("spec", "view", "beside"),
    [
        (ModelSpec, ModelView, set()),
        (DatasetSpec, DatasetView, {"available"}),  # a property: it differs by machine
        (OptimizerSpec, OptimizerView, set()),
        (SparsifierSpec, SparsifierView, set()),
    ],
)
def test_catalog_serves_every_field_of_a_spec_but_its_factory(
    spec: Any, view: type[CatalogEntry], beside: set[str]
) -> None:
    """The factory is an import path on the service's machine."""
    named = {field.name for field in fields(spec)}
    assert set(view.model_fields) == named - {"factory"} | beside
