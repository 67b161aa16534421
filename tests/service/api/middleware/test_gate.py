"""The gate: keys, scopes, origins, request rates and body sizes."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.api.middleware import gate
from service.records import Scope
from service.settings import Settings
from service.storage import Storage
from tests.service import studies
from tests.service.builders import opened

STUDY = studies.request_for().model_dump(mode="json")
GATED = ["/", "/docs", "/openapi.json", "/dashboard", "/api/studies", "/static/bundle.js"]
GATED += ["/assets/hamtune.css", "/docs-assets/swagger-ui.css", "/v1/studies", "/nowhere"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data_dir=Path(tmp_path_factory.mktemp("gate")), host="0.0.0.0")


@pytest.fixture(scope="module")
def storage(settings: Settings) -> Iterator[Storage]:
    with opened(settings) as storage:
        yield storage


@pytest.fixture
def client(settings: Settings, storage: Storage) -> TestClient:
    """A client without a key; each test has a gate of its own."""
    return TestClient(create_app(settings, storage))


@pytest.fixture(scope="module")
def tokens(storage: Storage) -> dict[Scope, str]:
    return {scope: storage.keys.create(scope.value, scope)[1] for scope in Scope}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(token: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"me:{token}".encode()).decode()}


@pytest.mark.parametrize("path", GATED)
def test_nothing_is_shown_without_a_key(
    client: TestClient, tokens: dict[Scope, str], path: str
) -> None:
    refused = client.get(path)
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
    assert "hamtune keys create" in refused.json()["detail"]
    assert client.get(path, headers=bearer(tokens[Scope.READ])).status_code in (200, 404)


def test_health_needs_no_key(client: TestClient) -> None:
    assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200


def test_only_browsers_are_asked_for_a_password(client: TestClient) -> None:
    assert client.get("/").headers["www-authenticate"] == "Bearer"
    browser = client.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert browser.headers["www-authenticate"].startswith("Basic ")


def test_scopes_allow_their_operations(client: TestClient, tokens: dict[Scope, str]) -> None:
    for scope, status in ((Scope.READ, 403), (Scope.SUBMIT, 202), (Scope.ADMIN, 202)):
        headers = bearer(tokens[scope])
        assert client.get("/v1/studies", headers=headers).status_code == 200
        answer = client.post("/v1/studies", json=STUDY, headers=headers)
        assert answer.status_code == status
    assert [scope for scope in Scope if scope.allows(Scope.SUBMIT)] == [Scope.SUBMIT, Scope.ADMIN]


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer x",
        "Basic",
        "Basic !",
        "Basic eDp5",
        "Digest a=b",
        "Bearer " + "\u00e9" * 9,
    ],
)
def test_wrong_credentials_are_401(client: TestClient, header: str) -> None:
    headers = {b"Authorization": header.encode("latin-1")}
    assert client.get("/v1/studies", headers=headers).status_code == 401


def test_revoked_key_is_refused_at_its_next_check(
    client: TestClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "KEY_CACHE_SECONDS", 0.0)
    key, token = storage.keys.create("short-lived", Scope.READ)
    assert client.get("/v1/studies", headers=bearer(token)).status_code == 200
    storage.keys.revoke(key.id)
    assert client.get("/v1/studies", headers=bearer(token)).status_code == 401


def test_request_that_another_site_causes_changes_nothing(
    client: TestClient, tokens: dict[Scope, str]
) -> None:
    key = basic(tokens[Scope.SUBMIT])
    forged: list[dict[str, str]] = [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ]
    for headers in forged:
        answer = client.post("/v1/studies", json=STUDY, headers=key | headers)
        assert answer.status_code == 403, headers
        assert client.get("/v1/studies", headers=key | headers).status_code == 200
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://testserver"}, {}):
        assert client.post("/v1/studies", json=STUDY, headers=key | headers).status_code == 202


def test_cross_site_requests_change_nothing_without_keys_either(
    storage: Storage, settings: Settings
) -> None:
    open_service = settings.model_copy(update={"host": "127.0.0.1"})
    with TestClient(create_app(open_service, storage)) as client:
        headers = {"Sec-Fetch-Site": "cross-site"}
        assert client.post("/v1/studies", json=STUDY, headers=headers).status_code == 403
        assert client.post("/v1/studies", json=STUDY).status_code == 202


def test_guessing_keys_is_slowed_down_and_right_keys_are_not(
    client: TestClient, tokens: dict[Scope, str]
) -> None:
    statuses = {client.get("/v1/studies", headers=bearer("guess")).status_code for _ in range(40)}
    assert statuses == {401, 429}
    refused = client.get("/v1/studies", headers=bearer("guess"))
    assert int(refused.headers["retry-after"]) >= 1


def test_each_key_has_its_own_rate(
    settings: Settings, storage: Storage, tokens: dict[Scope, str]
) -> None:
    limited = settings.model_copy(update={"requests_per_second": 0.01})
    client = TestClient(create_app(limited, storage))
    reader, admin = bearer(tokens[Scope.READ]), bearer(tokens[Scope.ADMIN])
    statuses = [client.get("/v1/models", headers=reader).status_code for _ in range(3)]
    assert statuses == [200, 429, 429]
    assert client.get("/v1/models", headers=admin).status_code == 200


@pytest.mark.parametrize(
    ("host", "asked", "required"),
    [
        ("127.0.0.1", None, False),
        ("::1", None, False),
        ("localhost", None, False),
        ("0.0.0.0", None, True),
        ("::", None, True),
        ("10.0.0.7", None, True),
        ("gpu-box", None, True),
        ("127.0.0.1", True, True),
        ("0.0.0.0", False, False),
    ],
)
def test_keys_are_required_if_other_machines_can_connect(
    host: str, asked: bool | None, required: bool
) -> None:
    assert Settings(host=host, require_keys=asked).keys_required is required


def test_openapi_document_requires_a_key_if_the_service_does(
    client: TestClient, tokens: dict[Scope, str]
) -> None:
    document = client.get("/openapi.json", headers=bearer(tokens[Scope.READ])).json()
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert ("security" in operation) == (path not in gate.PUBLIC)
            assert ("401" in operation["responses"]) == (path not in gate.PUBLIC)
            assert ("413" in operation["responses"]) == ("requestBody" in operation)
