"""Logs of studies and of runs."""

from __future__ import annotations

from fastapi.testclient import TestClient

from ham.client.records import LogLevel, NewLogLine
from service.clock import utc_now
from service.settings import Settings
from service.storage import Storage
from tests.service import studies
from tests.service.api.pagination import walk


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
    study, lease = studies.claim(storage)
    studies.search(storage, study, lease, 1)
    [run] = storage.runs.of_study(study_id)
    events = ("a run began", "a run ended", "the study stops")
    lines = [
        NewLogLine(at=utc_now(), level=LogLevel.INFO, event=event, run_id=run_id)
        for event, run_id in zip(events, (run.id, run.id, None), strict=True)
    ]
    storage.logs.append(lease, lines)
    of_study = walk(client, f"/v1/studies/{study_id}/logs", limit=2)
    assert [line["event"] for line in of_study] == list(events)
    assert walk(client, f"/v1/runs/{run.id}/logs", limit=1) == of_study[:2]
    assert client.get(f"/v1/studies/{study_id}/logs?level=warning").json()["items"] == []
    for missing in ("studies/study_", "runs/run_"):
        assert client.get(f"/v1/{missing}{'0' * 26}/logs").status_code == 404
