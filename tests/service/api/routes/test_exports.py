"""Data in and out: exports, external runs, published results, bundles."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from fastapi.testclient import TestClient

from ham.client.records import CombinationFilter, StudyState, SweepRequest
from ham.config import RunConfig
from ham.training import train
from service.api.app import create_app
from service.api.routes.exports import Table
from service.domain.planning.sweeps import expand
from service.domain.transfer.published import published_for, published_results
from service.settings import Settings
from service.storage import Storage, open_storage
from service.storage.engine.migrate import migrate
from service.storage.runs import export
from tests.service import studies

EXTERNAL = {
    "source": "our cluster, commit 1a2b3c4",
    "model": "digits_cnn",
    "dataset": "digits",
    "sparsifier": "random",
    "sparsity": 0.9,
    "alpha": 20.0,
    "beta": 0.001,
    "seed": 7,
    "epochs": 15,
    "test_accuracy": 0.99,
}

# Whoever imports one of these fails: they are not "ham alone".
HAM_ALONE = """
import runpy, sys
sys.modules.update(dict.fromkeys(("service", "ray", "optuna", "sqlalchemy", "fastapi")))
sys.argv = ["reproduce.py", "--pairs", "1"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    storage = open_storage(Settings(data_dir=Path(tmp_path_factory.mktemp("exports"))))
    migrate(storage.database)
    studies.submit(storage, studies.front_request().model_copy(update={"model": "digits_mlp"}))
    studies.finish_front(storage)
    for request in (
        studies.request_for("random"),
        studies.request_for("rigl"),
        studies.request_for("set", tune=("learning_rate",)),
    ):
        studies.submit(storage, request)
        studies.finish(storage)
    sweep = SweepRequest(models=["digits_mlp"], datasets=["digits"], sparsifiers=["dense"])
    storage.sweeps.submit(sweep, *expand(sweep))
    yield storage
    storage.database.close()


@pytest.fixture(scope="module")
def client(storage: Storage) -> TestClient:
    return TestClient(create_app(Settings(), storage))


def exported(client: TestClient, table: str, format: str, **query: str) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/exports/{table}", params={"format": format, **query})
    assert answer.status_code == 200, answer.text
    assert f"{table}.{format}" in answer.headers["content-disposition"]
    if format == "jsonl":
        return [json.loads(line) for line in answer.text.splitlines()]
    if format == "csv":
        return list(csv.DictReader(io.StringIO(answer.text)))
    return pyarrow.parquet.read_table(io.BytesIO(answer.content)).to_pylist()  # type: ignore[no-any-return]


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
        assert json.loads(row["measures"]) == run.measures
    for line, text in zip(tables["jsonl"], tables["csv"], strict=True):
        assert float(text["validation_accuracy"]) == line["validation_accuracy"]
        assert line["measures"] == json.loads(text["measures"])


def test_what_was_tuned_jointly_is_in_every_table(client: TestClient) -> None:
    for table in ("runs", "recommendations", "leaderboards"):
        rows = exported(client, table, "parquet")
        rates = {row["sparsifier"]: set[float]() for row in rows}
        for row in rows:
            rates[row["sparsifier"]].add(row["learning_rate"])
            assert (row["weight_decay"], row["alpha_schedule"]) == (1.0, "constant")
        assert rates["random"] == {1.0}
        assert rates["set"] - {1.0}


def test_bundle_of_a_joint_study_trains_both_kinds_of_no_ham(
    client: TestClient, storage: Storage
) -> None:
    (found,) = storage.recommendations.latest(CombinationFilter(sparsifier="set"))
    content = client.get(f"/v1/studies/{found.study_id}/bundle").content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        rows = json.loads(archive.read(f"{found.study_id}/evidence.json"))
    configs = [RunConfig.from_json(row["run"]) for row in rows]
    assert [config.setting for config in configs] == [*found.compared] * len(found.seeds)
    assert [setting.is_baseline for setting in found.compared] == [True, False, True]
    recorded = {row.setting: row.test_accuracies for row in found.evidence}
    for config, row in zip(configs, rows, strict=True):
        assert row["test_accuracy"] == recorded[config.setting][config.seed]


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


def test_combinations_and_sweeps_are_exported_as_they_are_listed(client: TestClient) -> None:
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
        {"run_id": run["id"], **point.model_dump()}
        for run in runs
        for point in storage.runs.curve(run["id"])
    ]
    assert points == expected
    stored = [event.id for event in storage.events.after(0, limit=10_000)]
    assert [row["id"] for row in exported(client, "events", "jsonl")] == stored
    rows = exported(client, "studies", "jsonl", sparsifier="rigl")
    assert [(row["state"], row["sparsifier"]) for row in rows] == [("succeeded", "rigl")]


def test_external_run_is_stored_with_its_source_and_kept_apart(
    client: TestClient, storage: Storage
) -> None:
    boards = client.get("/v1/leaderboards").json()
    recommended = client.get("/v1/recommendations").json()
    answer = client.post("/v1/runs", json=EXTERNAL)
    assert answer.status_code == 201, answer.text
    stored = answer.json()
    assert (stored["purpose"], stored["source"]) == ("external", EXTERNAL["source"])
    listed = client.get("/v1/external-runs", params={"sparsifier": "random"}).json()["items"]
    assert listed == [stored]
    assert client.get("/v1/external-runs", params={"sparsifier": "rigl"}).json()["items"] == []
    assert [row["id"] for row in exported(client, "external-runs", "csv")] == [stored["id"]]
    assert client.get("/v1/leaderboards").json() == boards
    assert client.get("/v1/recommendations").json() == recommended
    assert stored["id"] not in {row["id"] for row in exported(client, "runs", "jsonl")}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"source": ""}, "source"),
        ({"model": "digits_cn"}, "model"),
        ({"sparsity": 1.0}, "sparsity"),
        ({"test_accuracy": 99.0}, "test_accuracy"),
        ({"alpha": -1}, "alpha"),
        ({"seed": 2**31}, "seed"),
        ({"purpose": "confirmation"}, "purpose"),
        ({"measures": {"x": "y" * 30_000}}, "measures"),
    ],
)
def test_external_run_that_cannot_be_is_refused(
    client: TestClient, changes: dict[str, Any], field: str
) -> None:
    answer = client.post("/v1/runs", json=EXTERNAL | changes)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_published_rows_name_their_sources_and_are_fractions() -> None:
    rows = published_results()
    assert len(rows) > 100
    assert len(set(rows)) == len(rows), "a fact stands there once"
    for row in rows:
        assert row.source and row.recipe and row.purpose == "published"
        assert 0 < row.test_accuracy < 1 and 0 <= row.sparsity < 1
        assert row.spread is None or 0 < row.spread < 0.01
    [ham] = [
        row
        for row in published_for("resnet50", "imagenet", 0.95)
        if row.ham and row.method == "rigl"
    ]
    assert ham.test_accuracy == pytest.approx(0.7293)


def test_published_rows_stand_beside_a_ranking_never_in_it(client: TestClient) -> None:
    listed = client.get("/v1/published").json()["items"]
    assert len(listed) == len(published_results())
    [board] = client.get("/v1/leaderboards").json()["items"]
    assert board["published"] == [], "nobody publishes results on the digits"


def test_bundle_holds_everything(client: TestClient, storage: Storage) -> None:
    study = storage.studies.list(state=StudyState.SUCCEEDED)[0]
    files = unpacked(client, study.id)
    assert json.loads(files["request.json"])["model"] == "digits_cnn"
    plan = json.loads(files["plan.json"])
    assert plan["confirmation_seeds"] and plan["space"] == json.loads(files["search_space.json"])
    runs = [json.loads(line) for line in files["runs.jsonl"].splitlines()]
    assert {run["id"] for run in runs} == {run.id for run in storage.runs.of_study(study.id)}
    found = json.loads(files["environment.json"])
    assert found["packages_of_the_service"]["torch"] and found["environments_of_the_runs"]
    assert json.loads(files["recommendation.json"])["study_id"] == study.id
    for name in ("plots/search.svg", "plots/gains.svg"):
        assert files[name].startswith("<svg") and files[name].count("<circle") >= 3


def test_bundle_of_a_study_under_way_has_what_there_is(storage: Storage) -> None:
    queued = studies.submit(storage, studies.request_for("dense", 0.0))
    files = unpacked(TestClient(create_app(Settings(), storage)), queued.id)
    assert files["runs.jsonl"] == ""
    assert "recommendation.json" not in files
    storage.queue.fail(studies.claim(storage)[1], "cleared")


@pytest.mark.slow
def test_script_of_a_bundle_trains_the_recommendation_again_with_ham_alone(
    client: TestClient, storage: Storage, tmp_path: Path
) -> None:
    study = next(row for row in storage.studies.list() if row.request.sparsifier == "random")
    for name, text in unpacked(client, study.id).items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", HAM_ALONE], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    plain, with_ham = [json.loads(line) for line in done.stdout.splitlines()]
    assert (plain["alpha"], plain["beta"]) == (0, 0)
    assert with_ham["alpha"] > 0 and with_ham["seed"] == plain["seed"]
    first = json.loads((tmp_path / "evidence.json").read_text())[0]["run"]
    assert train(RunConfig.from_json(first), measure_test=True).test_accuracy == plain["reached"]


def unpacked(client: TestClient, study_id: str) -> dict[str, str]:
    answer = client.get(f"/v1/studies/{study_id}/bundle")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = archive.namelist()
        assert all(name.startswith(f"{study_id}/") for name in names)
        return {name.partition("/")[2]: archive.read(name).decode() for name in names}
