"""No log line has an API key or the password of the database."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psycopg

from service.records import Scope
from service.settings import Settings
from tests.postgres import OwnServer
from tests.service.builders import opened
from tests.service.cli.conftest import COMMAND, environment, free_port, start_serving, stop

PASSWORD = "dbS3cr3tPassw0rd"
BODY = {"model": "digits_cnn", "dataset": "digits", "sparsifier": "random", "sparsity": 0.9}


def test_no_log_line_has_a_secret(server: OwnServer, tmp_path: Path) -> None:
    """Requests have the key in its header or in a wrong place, and some of them fail."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("SELECT pg_reload_conf()")
    url = server.url.replace("postgres@", f"postgres:{PASSWORD}@")
    with opened(Settings(data_dir=tmp_path, database_url=url)) as storage:
        _, key = storage.keys.create("ada", Scope.ADMIN)
    wrong = key[:-20] + "Wr0ngKeyWr0ngKeyWr0n"
    settings = {
        "HAMTUNE_DATABASE_URL": url,
        "HAMTUNE_REQUIRE_KEYS": "true",
        "HAMTUNE_LOG_LEVEL": "debug",
        "HAMTUNE_LOG_FORMAT": "json",
        "HAMTUNE_API_KEY": key,
    }
    port = free_port()
    service = start_serving(tmp_path, port, **settings)
    try:
        statuses = {*_ask(port, key), *_ask(port, wrong)}
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER TABLE study RENAME TO gone")
        statuses |= {*_ask(port, key)}
    finally:
        _, written = stop(service)
    assert statuses >= {200, 202, 400, 401, 422, 500}
    for command in ("config", "studies"):
        done = subprocess.run(
            [*COMMAND, command], env=environment(tmp_path) | settings, capture_output=True
        )
        written += (done.stdout + done.stderr).decode()
    for path in (server.log, *(path for path in tmp_path.rglob("*") if path.is_file())):
        written += path.read_text(errors="replace")
    assert "a request failed" in written, "errors were logged"
    assert "INSERT INTO study" in written, "the database logged what it was asked"
    assert PASSWORD not in written
    for token in (key, wrong):
        assert token[-20:] not in written
        assert _basic(token) not in written


def _ask(port: int, key: str) -> Iterator[int]:
    """Send requests with a key in the right header and in wrong places; yield their statuses."""
    ways = [{"Authorization": f"Bearer {key}"}, {"Authorization": f"Basic {_basic(key)}"}]
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=ways[0], timeout=60) as client:
        for headers in (*ways, {"Authorization": key}, {"Cookie": f"key={key}"}):
            yield client.get("/v1/sweeps", headers=headers).status_code
        for query in ("submitter", "model", "cursor", "no_such"):
            yield client.get("/v1/studies", params={query: key}).status_code
        for path in ("/v1/studies", "/v1/recommendations", "/nowhere"):
            yield client.get(f"{path}/{key}").status_code
        yield client.post("/v1/studies", json=BODY, headers={"X-Request-ID": key}).status_code
        for body in (BODY | {"model": key}, BODY | {key: 1}, key):
            yield client.post("/v1/studies", json=body).status_code
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        yield client.get("/", headers={"Cookie": f"key={key}"}).status_code
        yield client.get(
            "/v1/studies", headers={"X-API-Key": key}, params={"key": key}
        ).status_code


def _basic(key: str) -> str:
    return base64.b64encode(f"ada:{key}".encode()).decode()
