"""Logs: one JSON object per line, with ids and without secrets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.logs import masked
from service.records import Scope
from service.settings import Settings
from tests.service.builders import opened

TOKEN = "hamtune_01kb0f4q8e9w3m5r7t1v6x2y4z_" + "s3cr3t-" * 6 + "x"

SERVE_THREE_REQUESTS = """
import sys
from pathlib import Path
from fastapi.testclient import TestClient
from service import logs
from service.api.app import create_app
from service.settings import Settings

settings = Settings(data_dir=Path(sys.argv[1]), host="0.0.0.0", log_format=sys.argv[3])
logs.configure(settings)
app = create_app(settings)
app.add_api_route("/v1/breaks", lambda: 1 / 0)
client = TestClient(app, raise_server_exceptions=False)
client.headers["Authorization"] = f"Bearer {sys.argv[2]}"
client.get("/v1/models", headers={"X-Request-ID": "mine-1"})
client.get("/v1/models?" + sys.argv[2])
broken = client.get("/v1/breaks")
assert broken.status_code == 500 and broken.headers["x-request-id"] in broken.json()["detail"]
"""


def logged(tmp_path: Path, format: str) -> tuple[str, str]:
    """Return an API key, and the log of an API after three requests with it."""
    settings = Settings(data_dir=tmp_path)
    with opened(settings) as storage:
        _, token = storage.keys.create("ada", Scope.READ)
    done = subprocess.run(
        [sys.executable, "-c", SERVE_THREE_REQUESTS, str(tmp_path), token, format],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return token, done.stderr


def test_requests_are_logged_as_json_with_their_ids(tmp_path: Path) -> None:
    token, text = logged(tmp_path, "json")
    every: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    lines = [line for line in every if not line["logger"].startswith("httpx")]  # the test's own
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in requests] == [200, 400, 500]
    assert requests[0]["request_id"] == "mine-1"
    assert requests[0]["key_id"] == "key_" + token.split("_")[1]
    assert requests[0]["route"] == "/v1/models"
    assert len({line["request_id"] for line in lines}) == 3
    [broken] = [line for line in lines if line["event"] == "a request failed"]
    assert "ZeroDivisionError" in broken["exception"]
    assert broken["request_id"] == requests[2]["request_id"]
    assert token[-43:] not in text


def test_a_terminal_gets_text(tmp_path: Path) -> None:
    token, text = logged(tmp_path, "text")
    assert "mine-1" in text and "ZeroDivisionError" in text
    assert not text.startswith("{")
    assert token[-43:] not in text


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"the key {TOKEN} was sent", "s3cr3t"),
        ("cannot reach postgresql+psycopg://hamtune:s3cr3t@db:5432/hamtune", "s3cr3t"),
        (
            "cannot reach postgresql://db/hamtune?user=me&password=s3cr3t&connect_timeout=1",
            "s3cr3t",
        ),
        ("{'Authorization': 'Bearer s3cr3t', 'accept': '*/*'}", "s3cr3t"),
        ("authorization: Basic czNjcjN0", "czNjcjN0"),
    ],
)
def test_secrets_are_masked_and_the_text_around_them_stays(text: str, secret: str) -> None:
    shown = masked(text)
    assert secret not in shown
    assert "***" in shown
    assert shown[:10] == text[:10]


@pytest.mark.parametrize("text", ["http://127.0.0.1:8642/v1", "a:b@c", "study_01 by key_01"])
def test_other_text_is_not_masked(text: str) -> None:
    assert masked(text) == text
