"""Reading across studies: runs, combinations, versions, logs, what there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ham.client.records import LogLevel, NewLogLine
from service.clock import utc_now
from service.settings import Settings
from service.storage import Storage
from tests.service import studies


@pytest.fixture
def two_studies(storage: Storage) -> list[str]:
    ids = []
    for sparsifier in ("random", "rigl"):
        ids.append(studies.submit(storage, studies.request_for(sparsifier)).id)
        studies.finish(storage)
    return ids


def walk(client: TestClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """Follow the cursors to the end."""
    items: list[dict[str, Any]] = []
    while True:
        page = client.get(path, params=query).json()
        items += page["items"]
        if (cursor := page["next_cursor"]) is None:
            return items
        query["cursor"] = cursor


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


def test_combinations_and_every_version_of_their_recommendation(
    client: TestClient, storage: Storage, two_studies: list[str]
) -> None:
    studies.submit(storage, studies.request_for("rigl"))
    newest = studies.finish(storage)
    studies.submit(storage, studies.request_for("dense", 0.0))
    entries = walk(client, "/v1/combinations", limit=2)
    counts = {
        row["combination"]["sparsifier"]: (row["studies"], row["recommendations"])
        for row in entries
    }
    assert counts == {"random": (1, 1), "rigl": (2, 2), "dense": (1, 0)}
    [rigl] = client.get("/v1/combinations", params={"sparsifier": "rigl"}).json()["items"]
    address = f"/v1/combinations/{rigl['id']}"
    assert client.get(address).json() == rigl
    versions = walk(client, f"{address}/recommendations", limit=1)
    assert [row["version"] for row in versions] == [2, 1]
    assert versions[0]["id"] == newest.id
    assert client.get("/v1/combinations/999999/recommendations").status_code == 404
    [benchmark, *_] = client.get("/v1/benchmarks").json()["items"]
    assert client.get(f"/v1/leaderboards/{benchmark['name']}").status_code == 200


def test_log_of_a_study_is_cut_to_its_end_at_a_line(
    client: TestClient, storage: Storage, settings: Settings
) -> None:
    study_id = studies.submit(storage, studies.request_for()).id
    address = f"/v1/studies/{study_id}/output"
    missing = client.get(address)
    assert missing.status_code == 404 and "no scheduler" in missing.json()["detail"]
    log = settings.data_dir / "logs" / f"{study_id}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"first line\nsecond \xff line\nthird line\n")
    whole = client.get(address)
    assert whole.headers["content-type"].startswith("text/plain")
    assert whole.text == "first line\nsecond � line\nthird line\n"
    assert client.get(address, params={"limit": 15}).text == "third line\n"
    assert client.get("/v1/studies/study_" + "0" * 26 + "/output").status_code == 404


def test_logs_are_walked_by_study_and_by_run(client: TestClient, storage: Storage) -> None:
    study_id = studies.submit(storage, studies.request_for()).id
    study, held = studies.claim(storage)
    studies.search(storage, study, held, 1)
    [run] = storage.runs.of_study(study_id)
    events = ("a run began", "a run ended", "the study stops")
    lines = [
        NewLogLine(at=utc_now(), level=LogLevel.INFO, event=event, run_id=run_id)
        for event, run_id in zip(events, (run.id, run.id, None), strict=True)
    ]
    storage.logs.append(held, lines)
    of_study = walk(client, f"/v1/studies/{study_id}/logs", limit=2)
    assert [line["event"] for line in of_study] == list(events)
    assert walk(client, f"/v1/runs/{run.id}/logs", limit=1) == of_study[:2]
    assert client.get(f"/v1/studies/{study_id}/logs?level=warning").json()["items"] == []
    for missing in ("studies/study_", "runs/run_"):
        assert client.get(f"/v1/{missing}{'0' * 26}/logs").status_code == 404


def test_datasets_say_whether_their_data_are_here(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAM_DATA_DIR", str(tmp_path))

    def available() -> set[str]:
        rows = client.get("/v1/datasets").json()["items"]
        return {row["name"] for row in rows if row["available"]}

    assert "digits" in available() and "cifar10" not in available()
    (tmp_path / "cifar-10-batches-py").mkdir()
    assert "cifar10" in available()
