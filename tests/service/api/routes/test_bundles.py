"""Reproduction bundles: complete, and trained again with `ham` alone."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from ham.client.records import CombinationFilter, StudyState
from ham.config import RunConfig
from ham.training import train
from service.api.app import create_app
from service.settings import Settings
from service.storage import Storage
from tests.service import studies

# An import of one of these packages fails: the script needs `ham` alone.
HAM_ALONE = """
import runpy, sys
sys.modules.update(dict.fromkeys(("service", "ray", "optuna", "sqlalchemy", "fastapi")))
sys.argv = ["reproduce.py", "--pairs", "1"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def storage(finished_storage: Storage) -> Storage:
    return finished_storage


@pytest.fixture(scope="module")
def client(finished_client: TestClient) -> TestClient:
    return finished_client


def test_bundle_of_a_joint_study_trains_tuned_and_recipe_baseline(
    client: TestClient, storage: Storage
) -> None:
    (found,) = storage.recommendations.latest(CombinationFilter(sparsifier="set"))
    content = client.get(f"/v1/studies/{found.study_id}/bundle").content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        runs = json.loads(archive.read(f"{found.study_id}/evidence.json"))
    configs = [RunConfig.from_json(run["run"]) for run in runs]
    assert [config.setting for config in configs] == [*found.compared] * len(found.seeds)
    assert [ham_config.is_baseline for ham_config in found.compared] == [True, False, True]
    recorded = {tried.setting: tried.test_accuracies for tried in found.evidence}
    for config, run in zip(configs, runs, strict=True):
        assert run["test_accuracy"] == recorded[config.setting][config.seed]


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


def test_bundle_of_an_unfinished_study_has_the_runs_so_far(storage: Storage) -> None:
    queued = studies.submit(storage, studies.request_for("dense", 0.0))
    files = unpacked(TestClient(create_app(Settings(), storage)), queued.id)
    assert files["runs.jsonl"] == ""
    assert "recommendation.json" not in files
    storage.queue.fail(studies.claim(storage)[1], "cleared")


@pytest.mark.slow
def test_script_of_a_bundle_trains_the_recommendation_again_with_ham_alone(
    client: TestClient, storage: Storage, tmp_path: Path
) -> None:
    study = next(study for study in storage.studies.list() if study.request.sparsifier == "random")
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
