"""Pareto fronts over the API: over real HTTP, in exports and in bundles."""

from __future__ import annotations

import io
import json
import zipfile
from xml.etree import ElementTree

import pytest
from fastapi.testclient import TestClient

from ham.client.client import Client
from ham.client.errors import RequestRefused
from ham.client.records import ParetoFront, Purpose, StudyRequest
from ham.config import RunConfig
from service.storage import Storage
from tests.service import studies


@pytest.fixture
def stored(storage: Storage) -> ParetoFront:
    studies.submit(storage, studies.pareto_request())
    return studies.finish_pareto_study(storage)


def test_pareto_front_is_submitted_and_answered_over_http(url: str, storage: Storage) -> None:
    request = studies.pareto_request(objective="inference_flops")
    with Client(url) as client:
        planned = client.plan(request)
        assert planned.sampler == "tpe" and planned.sparsities == (0.8, 0.9)
        study = client.submit(request)
        assert study.progress.screening.planned == (2 + 2) * 2
        with pytest.raises(RequestRefused, match="is queued; it has a Pareto") as caught:
            client.pareto_front(study.id)
        assert caught.value.status == 404
        stored = studies.finish_pareto_study(storage)
        found = client.pareto_front(study.id)
        assert found == stored
        assert found.objectives == ("accuracy", "inference_flops")
        assert [point.combination.sparsity for point in found.points] == [0.8, 0.9]
        assert all(point.gain_shown for point in found.points)
        ended = client.study(study.id)
        assert ended.progress.best_validation_accuracy is None, "unequal sparsities do not compare"
        assert client.early_stopping(study.id).rungs == ()
        assert {run.sparsity for run in client.runs(study.id)} == {0.8, 0.9}
        assert client.recommendations() == []
        assert client.leaderboards() == []


def test_study_of_one_objective_has_no_pareto_front(client: TestClient, storage: Storage) -> None:
    study = studies.submit(storage, studies.request_for())
    answer = client.get(f"/v1/studies/{study.id}/front")
    assert answer.status_code == 404
    assert "one objective" in answer.json()["detail"]
    assert client.get("/v1/studies/study_" + "0" * 26 + "/front").status_code == 404


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sparsities": [0.9, 0.9]}, "sparsities"),
        ({"sparsities": [0.1 * level for level in range(11)]}, "sparsities"),
        ({"sampler": "gp"}, "sampler"),
        ({"objectives": ["sparsity", "accuracy", "training_flops"]}, "objectives"),
        ({"objectives": ["size"]}, "objectives.0"),
        ({"tune": ["learning_rate"]}, "tune"),
    ],
    ids=str,
)
def test_refused_request_names_its_field(
    client: TestClient, changes: dict[str, object], field: str
) -> None:
    body = studies.pareto_request().model_dump(mode="json") | changes
    answer = client.post("/v1/studies", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert field in [error["field"] for error in answer.json()["errors"]]


def test_rerun_submits_the_same_objectives(client: TestClient, stored: ParetoFront) -> None:
    again = client.post(f"/v1/studies/{stored.study_id}/rerun")
    assert again.status_code == 202
    assert StudyRequest.model_validate_json(json.dumps(again.json()["request"])) == (
        studies.pareto_request()
    )


def test_pareto_front_is_exported_with_a_row_for_each_point(
    client: TestClient, stored: ParetoFront
) -> None:
    def exported(query: str) -> list[dict[str, object]]:
        lines = client.get(f"/v1/exports/fronts?{query}").text.splitlines()
        return [json.loads(line) for line in lines]

    rows = exported("")
    assert [row["sparsity"] for row in rows] == [0.8, 0.9]
    for row, point in zip(rows, stored.points, strict=True):
        assert row["study_id"] == stored.study_id
        assert (row["alpha"], row["beta"]) == (point.setting.alpha, point.setting.beta)
        assert row["gain"] == (point.gain and point.gain.model_dump())
    assert exported("sparsifier=random") == rows
    assert exported("sparsifier=rigl") == []


def test_bundle_has_the_pareto_front_and_its_runs(
    client: TestClient, storage: Storage, stored: ParetoFront
) -> None:
    content = client.get(f"/v1/studies/{stored.study_id}/bundle").content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    assert ParetoFront.model_validate_json(files["front.json"]) == stored
    assert "recommendation.json" not in files
    assert b"random-0.80,0.90" in files["README.md"]
    ElementTree.fromstring(files["plots/front.svg"])
    rows = [
        (RunConfig.from_json(r["run"]), r["test_accuracy"])
        for r in json.loads(files["evidence.json"])
    ]
    confirmed = {
        (run.sparsity, run.setting, run.seed): run.test_accuracy
        for run in storage.runs.of_study(stored.study_id, Purpose.CONFIRMATION)
    }
    assert {(c.combination.sparsity, c.setting, c.seed): found for c, found in rows} == confirmed


def test_pareto_front_is_drawn_with_an_error_bar_for_each_point(
    client: TestClient, stored: ParetoFront
) -> None:
    answer = client.get(f"/studies/{stored.study_id}/front.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    drawn = list(ElementTree.fromstring(answer.text).iter("{http://www.w3.org/2000/svg}g"))
    assert len(drawn) == len(stored.points)
    for group in drawn:
        shapes = {element.tag.rpartition("}")[2] for element in group}
        assert shapes == {"title", "path", "circle"}
