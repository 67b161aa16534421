"""Runs, over all studies and of one, and their learning curves."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from service.storage import Storage
from tests.service import studies
from tests.service.api.pagination import walk


def test_runs_of_all_studies_are_walked_newest_first_and_filtered(
    client: TestClient, storage: Storage, two_studies: list[str]
) -> None:
    everything = walk(client, "/v1/runs", limit=7)
    ids = [run["id"] for run in everything]
    assert ids == sorted(set(ids), reverse=True)
    stored = [run.id for id in two_studies for run in storage.runs.of_study(id)]
    assert sorted(ids) == sorted(stored)
    for query in (
        {"sparsifier": "rigl"},
        {"study_id": two_studies[0]},
        {"purpose": "search"},
        {"purpose": "confirmation", "sparsifier": "random"},
        {"state": "failed"},
    ):
        found = {run["id"] for run in walk(client, "/v1/runs", limit=9, **query)}
        assert found == {
            run["id"]
            for run in everything
            if ("sparsifier" not in query or f"/{query['sparsifier']}" in run["combination"])
            and all(run[name] == query[name] for name in query if name != "sparsifier")
        }, query


@pytest.mark.parametrize("part", ["runs", "trials"])
def test_runs_of_a_study_are_walked_oldest_first(
    client: TestClient, storage: Storage, two_studies: list[str], part: str
) -> None:
    purpose = "search" if part == "trials" else None
    found = walk(client, f"/v1/studies/{two_studies[0]}/{part}", limit=3)
    stored = storage.runs.of_study(two_studies[0])
    assert [run["id"] for run in found] == [
        run.id for run in stored if purpose in (None, run.purpose)
    ]


def test_run_and_its_curve_are_found_by_id(client: TestClient, storage: Storage) -> None:
    study = studies.submit(storage, studies.request_for())
    _, lease = studies.claim(storage)
    studies.search(storage, study, lease, 1)
    run = client.get(f"/v1/studies/{study.id}/trials").json()["items"][0]
    assert client.get(f"/v1/runs/{run['id']}").json() == run
    curve = client.get(f"/v1/runs/{run['id']}/curve").json()["items"]
    assert [point["epoch"] for point in curve] == [1, 2, 3]
    assert curve[-1]["validation_accuracy"] == run["validation_accuracy"]


@pytest.mark.parametrize("path", ["/v1/runs/{}", "/v1/runs/{}/curve"])
def test_unknown_run_is_404(client: TestClient, path: str) -> None:
    assert client.get(path.format("run_" + "0" * 26)).status_code == 404
