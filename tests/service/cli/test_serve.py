"""``hamtune serve`` and its scheduler process."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from ham.client.address import service_url
from ham.client.client import Client
from service.cli.app import app
from service.cli.errors import PORT_TAKEN, USAGE
from service.cli.scheduler_process import SchedulerProcess, environment
from service.settings import Settings
from tests.service import studies
from tests.service.cli.conftest import free_port, run, start_serving, stop

# Writes its process id and data folder to a file, then waits for a signal.
SCHEDULER = """
import os, sys, time
with open(sys.argv[1], "a") as notes:
    print(os.getpid(), os.environ["HAMTUNE_DATA_DIR"], file=notes)
time.sleep(600)
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_serve_announces_its_address_and_ends_cleanly(tmp_path: Path, how: signal.Signals) -> None:
    port = free_port()
    process = start_serving(tmp_path, port)
    assert service_url(tmp_path) == f"http://127.0.0.1:{port}"
    with Client(service_url(tmp_path)) as client:
        assert client.studies() == []
    code, output = stop(process, how)
    assert code == 0
    assert f"http://127.0.0.1:{port}" in output and "/dashboard" in output
    assert "Traceback" not in output
    assert not (tmp_path / "service.json").exists()


def test_serve_ends_streams_and_lets_requests_finish(tmp_path: Path) -> None:
    process = start_serving(tmp_path, free_port())
    url = service_url(tmp_path)
    with Client(url) as client:
        study = client.submit(studies.request_for())
    with (
        httpx2.stream("GET", f"{url}/v1/events?after=0", timeout=30) as everything,
        httpx2.stream("GET", f"{url}/v1/studies/{study.id}/events", timeout=30) as one,
    ):
        streams = [stream.iter_lines() for stream in (everything, one)]
        for lines in streams:
            assert any(study.id in line for line in lines), "it streams"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        rest = [line for lines in streams for line in lines]  # no error and no event "end"
        assert not any("end" in line for line in rest)
    _, output = stop(process)
    assert time.monotonic() - began < 5, "the shutdown does not wait for streams"
    assert process.returncode == 0
    assert "Traceback" not in output and "Cancel" not in output


def test_serve_reports_a_taken_port(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        second = run("serve", "--no-scheduler", "--port", str(port), data_dir=tmp_path)
    assert second.returncode == PORT_TAKEN
    assert f"port {port} of 127.0.0.1 is taken" in second.stderr
    assert f"--port {port + 1}" in second.stderr


def test_serve_refuses_an_unusable_checkpoint_store(tmp_path: Path) -> None:
    env = {"HAMTUNE_CHECKPOINTS": "bogus://bucket"}
    refused = CliRunner(env=env).invoke(app, ["serve", "--data-dir", str(tmp_path)])
    assert refused.exit_code == USAGE
    assert "HAMTUNE_CHECKPOINTS" in refused.stderr and "bogus://bucket" in refused.stderr


def test_killed_service_starts_again_on_its_data(tmp_path: Path) -> None:
    process = start_serving(tmp_path, free_port())
    with Client(service_url(tmp_path)) as client:
        study = client.submit(studies.request_for())
    stop(process, signal.SIGKILL)
    (tmp_path / "service.json").unlink()
    process = start_serving(tmp_path, free_port())
    with Client(service_url(tmp_path)) as client:
        assert [found.id for found in client.studies()] == [study.id]
    stop(process)


def test_scheduler_that_dies_is_restarted_with_the_same_settings(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    keeper = SchedulerProcess(
        Settings(data_dir=tmp_path),
        command=(sys.executable, "-c", SCHEDULER, str(notes)),
        first_pause=0.05,
    )
    keeper.start()
    try:
        [first] = wait_for(lambda: lines_of(notes, 1))
        os.kill(int(first[0]), signal.SIGKILL)
        _, second = wait_for(lambda: lines_of(notes, 2))
    finally:
        keeper.stop()
    assert second[0] != first[0]
    assert first[1] == second[1] == str(tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(int(second[0]), 0)


def test_child_process_reads_the_same_settings_from_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.model_validate(
        {
            "data_dir": tmp_path,
            "database_url": "postgresql://u:p@host/db",
            "port": 1234,
            "RAY_ADDRESS": "host:6379",
            "lease_seconds": 3.5,
        }
    )
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings


def lines_of(path: Path, count: int) -> list[list[str]] | None:
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.split() for line in lines] if len(lines) >= count else None


def wait_for(what: Callable[[], list[list[str]] | None]) -> list[list[str]]:
    deadline = time.monotonic() + 20
    while (value := what()) is None:
        assert time.monotonic() < deadline, "nothing happened within 20 s"
        time.sleep(0.02)
    return value
