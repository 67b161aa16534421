"""``hamtune demo`` runs six studies to their end; the tests act as the scheduler."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import httpx2
import pytest
from rich.console import Console

from ham.client.client import Client
from ham.client.records import StudyState
from service.cli import demo as demo_module
from service.cli.demo import REQUESTS, free_port, submit_once
from service.settings import Settings
from service.storage import Storage, open_storage
from tests.service import studies
from tests.service.cli.conftest import Result, Started, environment, run, start_serving, stop
from tests.service.cli.conftest import free_port as some_port


def test_demo_submits_six_studies_reports_them_and_reuses_them(
    service: str, data_dir: Path, storage: Storage
) -> None:
    results: list[Result] = []
    demo = Thread(target=lambda: results.append(run("demo", "--exit", data_dir=data_dir)))
    demo.start()
    for _ in REQUESTS:
        while not storage.studies.list(state=StudyState.QUEUED):
            time.sleep(0.05)
        studies.finish(storage)
    demo.join()
    results.append(run("demo", "--exit", data_dir=data_dir))
    assert len(storage.studies.list()) == len(REQUESTS) == 6
    for done in results:
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("confirmed") == 6
        assert "digits_mlp-digits-0.90-digits@1" in done.stdout
        for address in (f"{service}/", f"{service}/docs", f"{service}/dashboard"):
            assert address in done.stdout


def test_failed_study_is_submitted_again_and_a_queued_one_is_not(
    service: str, storage: Storage
) -> None:
    request = REQUESTS[1].model_copy(update={"sparsity": 0.77})
    with Client(service) as client:
        failed = submit_once(client, request)
        storage.queue.fail(studies.claim(storage)[1], "made to fail")
        fresh = submit_once(client, request)
        assert fresh.id != failed.id
        assert submit_once(client, request).id == fresh.id
        storage.queue.fail(studies.claim(storage)[1], "cleared")


def test_demo_with_a_failed_study_shows_the_reason_and_exits_with_1(
    tmp_path: Path,
) -> None:
    process = start_serving(tmp_path, some_port())
    mine = open_storage(Settings(data_dir=tmp_path))
    results: list[Result] = []
    demo = Thread(target=lambda: results.append(run("demo", "--exit", data_dir=tmp_path)))
    demo.start()
    for _ in REQUESTS:
        while not mine.studies.list(state=StudyState.QUEUED):
            time.sleep(0.05)
        mine.queue.fail(studies.claim(mine)[1], "a reason to read")
    demo.join()
    mine.database.close()
    stop(process)
    assert results[0].returncode == 1
    assert "a reason to read" in results[0].stdout


def test_free_port_skips_a_taken_port(service: str) -> None:
    taken = int(service.rpartition(":")[2])
    assert free_port("127.0.0.1", taken) > taken


def test_port_taken_during_the_start_is_replaced_by_a_free_one(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = int(service.rpartition(":")[2])
    answers = iter([lambda *_: taken])
    monkeypatch.setattr(demo_module, "free_port", lambda *args: next(answers, free_port)(*args))
    settings = Settings(data_dir=tmp_path, port=taken)
    with demo_module.running_service(settings, Console()) as (url, process):
        assert url != service
        assert httpx2.get(f"{url}/healthz").status_code == 200
    assert process is not None and process.poll() is not None


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_demo_stops_the_service_that_it_started(
    tmp_path: Path, how: signal.Signals
) -> None:
    demo = Started("demo", env=environment(tmp_path))
    wait_for(lambda: (tmp_path / "service.json").exists())
    service = int(json.loads((tmp_path / "service.json").read_text())["pid"])
    wait_for(lambda: (tmp_path / "logs" / "scheduler.log").exists())
    code, output = stop(demo, how)
    wait_for(lambda: not Path(f"/proc/{service}").exists())
    assert not (tmp_path / "service.json").exists()
    if how != signal.SIGKILL:
        assert code == 130
        assert "go on from here" in output
        assert "Traceback" not in output


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline, "nothing happened within a minute"
        time.sleep(0.05)
