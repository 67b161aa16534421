"""A service without keys answers its own machine only."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.api.middleware.local_only import LocalOnly
from service.settings import Settings
from service.storage import Storage


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8642", 200),
        ("localhost", 200),
        ("[::1]:8642", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:8642", 403),
        ("192.168.1.5", 403),
    ],
)
def test_service_without_keys_answers_as_localhost_only(
    storage: Storage, settings: Settings, host: str, status: int
) -> None:
    app = LocalOnly(create_app(settings.model_copy(update={"host": "::1"}), storage))
    assert TestClient(app).get("/healthz", headers={"Host": host}).status_code == status


def test_service_without_keys_refuses_proxied_requests(
    storage: Storage, settings: Settings
) -> None:
    app = LocalOnly(create_app(settings.model_copy(update={"host": "localhost"}), storage))
    headers = {"Host": "localhost", "X-Forwarded-For": "203.0.113.9"}
    refused = TestClient(app).get("/v1/studies", headers=headers)
    assert refused.status_code == 403
    assert "HAMTUNE_REQUIRE_KEYS" in refused.json()["detail"]
