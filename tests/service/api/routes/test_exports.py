"""Exports: every table, in every format, complete."""

from __future__ import annotations

import json

import pytest
from fastapi.testclient import TestClient

from service.api.exports.tables import Table
from service.storage import Storage
from service.storage.runs import export
from tests.service.api.exporting import exported


@pytest.fixture(scope="module")
def storage(finished_storage: Storage) -> Storage:
    return finished_storage


@pytest.fixture(scope="module")
def client(finished_client: TestClient) -> TestClient:
    return finished_client


def test_every_run_is_exported_once_in_every_format(
    client: TestClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE", 5)  # more pages than one
    stored = [run for study in storage.studies.list() for run in storage.runs.of_study(study.id)]
    ids = sorted(run.id for run in stored)
    tables = {format: exported(client, "runs", format) for format in ("jsonl", "csv", "parquet")}
    for rows in tables.values():
        assert [row["id"] for row in rows] == ids
    by_id = {run.id: run for run in stored}
    for row in tables["parquet"]:
        run = by_id[row["id"]]
        assert (row["alpha"], row["seed"]) == (run.setting.alpha, run.seed)
        assert row["validation_accuracy"] == run.validation_accuracy
        assert json.loads(row["measures"]) == run.measures.stored
    for line, text in zip(tables["jsonl"], tables["csv"], strict=True):
        assert float(text["validation_accuracy"]) == line["validation_accuracy"]
        assert line["measures"] == json.loads(text["measures"])


def test_jointly_tuned_values_are_in_every_table(client: TestClient) -> None:
    for table in ("runs", "recommendations", "leaderboards"):
        rows = exported(client, table, "parquet")
        rates = {row["sparsifier"]: set[float]() for row in rows}
        for row in rows:
            rates[row["sparsifier"]].add(row["learning_rate"])
            assert (row["weight_decay"], row["alpha_schedule"]) == (1.0, "constant")
        assert rates["random"] == {1.0}
        assert rates["set"] - {1.0}


def test_exports_are_filtered(client: TestClient) -> None:
    rows = exported(client, "runs", "jsonl", sparsifier="rigl", purpose="confirmation")
    assert rows
    assert {(row["sparsifier"], row["purpose"]) for row in rows} == {("rigl", "confirmation")}
    assert exported(client, "runs", "parquet", dataset="cifar10") == []
    assert client.get("/v1/exports/runs?sparsifier=rigll").status_code == 422


@pytest.mark.parametrize("table", sorted({*Table} - {Table.RUNS, Table.EXTERNAL_RUNS}))
@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet"])
def test_other_tables_have_the_same_rows_in_every_format(
    client: TestClient, table: str, format: str
) -> None:
    lines = exported(client, table, "jsonl")
    assert lines
    rows = exported(client, table, format)
    assert len(rows) == len(lines)
    assert all(row.keys() == lines[0].keys() for row in rows)


def test_combinations_and_sweeps_are_exported_as_they_are_listed(
    client: TestClient,
) -> None:
    (sweep,) = exported(client, "sweeps", "jsonl")
    (listed,) = client.get("/v1/sweeps").json()["items"]
    assert sweep == {name: listed[name] for name in sweep}
    entries = client.get("/v1/combinations?model=digits_cnn").json()["items"]
    rows = exported(client, "combinations", "jsonl", model="digits_cnn")
    assert [(row["key"], row["studies"], row["recommendations"]) for row in rows] == [
        (entry["key"], entry["studies"], entry["recommendations"]) for entry in entries
    ]
    assert [row["sparsifier"] for row in rows] == ["random", "rigl", "set"]


def test_curves_and_events_are_exported_whole(
    client: TestClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE", 7)  # pages end within curves
    points = exported(client, "curves", "jsonl", sparsifier="rigl")
    runs = exported(client, "runs", "jsonl", sparsifier="rigl")
    expected = [
        {"run_id": run["id"], **vars(point)}
        for run in runs
        for point in storage.runs.curve(run["id"])
    ]
    assert points == expected
    stored = [event.id for event in storage.events.after(0, limit=10_000)]
    assert [row["id"] for row in exported(client, "events", "jsonl")] == stored
    rows = exported(client, "studies", "jsonl", sparsifier="rigl")
    assert [(row["state"], row["sparsifier"]) for row in rows] == [("succeeded", "rigl")]


def test_recommendations_are_exported_as_they_are_answered(
    client: TestClient, storage: Storage
) -> None:
    """Every field has a column; those that the API leaves out of an answer have their value."""
    found = storage.recommendations.latest()
    rows = exported(client, "recommendations", "jsonl")
    assert len(rows) == len(found)
    for row, recommendation in zip(rows, found, strict=True):
        answered = recommendation.model_dump(mode="json", exclude={"setting", "combination"})
        rates = {name: answered.pop(name, None) for name in ("learning_rate", "weight_decay")}
        assert rates == {name: row[f"absolute_{name}"] for name in rates}
        assert answered == {name: row[name] for name in answered}
        assert row["control"]["learning_rate"] == recommendation.control.learning_rate
        assert row["learning_rate"] == recommendation.setting.learning_rate
        assert "surface" not in row


def test_leaderboards_and_pareto_fronts_are_exported_with_all_that_is_answered(
    client: TestClient, storage: Storage
) -> None:
    boards = client.get("/v1/leaderboards").json()["items"]
    rows = exported(client, "leaderboards", "jsonl")
    answered = [entry for board in boards for entry in board["rows"]]
    assert [row["trainings"] for row in rows] == [entry["trainings"] for entry in answered]
    (front,) = storage.pareto_fronts.list()
    points = exported(client, "fronts", "jsonl")
    assert {row["message"] for row in points} == {front.message}
