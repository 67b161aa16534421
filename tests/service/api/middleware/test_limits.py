"""Limits of request rates and of body sizes."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.api.middleware.limits import Buckets
from service.settings import Settings
from service.storage import Storage


def test_bucket_refills_with_time() -> None:
    now = 0.0
    buckets = Buckets(rate=2.0, at_once=3, clock=lambda: now)
    assert [buckets.wait("a") for _ in range(3)] == [0, 0, 0]
    assert buckets.wait("a") == pytest.approx(0.5)
    assert buckets.wait("b") == 0
    now = 0.5
    assert buckets.wait("a", cost=0) == 0
    assert buckets.wait("a") == 0
    assert buckets.wait("a") > 0


def test_large_bodies_are_refused_whether_announced_or_not(
    settings: Settings, storage: Storage
) -> None:
    client = TestClient(create_app(settings, storage))
    large = b" " * (settings.max_request_bytes + 1)
    headers = {"Content-Type": "application/json"}
    for content in (large, iter([large[:1000], large[1000:]])):
        answer = client.post("/v1/studies", content=content, headers=headers)
        assert answer.status_code == 413
        assert "HAMTUNE_MAX_REQUEST_BYTES" in answer.json()["detail"]
