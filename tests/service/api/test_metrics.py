"""Metrics for Prometheus, from several API processes."""

from __future__ import annotations

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from service.api.app import create_app
from service.settings import Settings
from service.storage import Storage
from tests.conftest import MovableClock
from tests.service import studies
from tests.service.builders import a_job

Sample = tuple[str, frozenset[tuple[str, str]]]


def scraped(client: TestClient) -> dict[Sample, float]:
    text = client.get("/metrics").text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: dict[Sample, float], name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def test_states_and_queue_come_from_the_database_in_every_process(
    settings: Settings, storage: Storage, clock: MovableClock
) -> None:
    one, other = (TestClient(create_app(settings, storage)) for _ in range(2))
    studies.submit(storage, studies.request_for())
    studies.finish(storage)
    studies.submit(storage, studies.request_for("rigl"))
    _, lease = studies.claim(storage)
    storage.runs.begin(lease, a_job(), epochs=3)
    studies.submit(storage, studies.request_for("dense", 0.0))
    clock.advance(30)
    for client in (one, other):
        found = scraped(client)
        for state, count in (("queued", 1), ("running", 1), ("succeeded", 1), ("failed", 0)):
            assert value(found, "hamtune_studies", state=state) == count
        assert value(found, "hamtune_queue_depth") == 1
        assert value(found, "hamtune_queue_longest_wait_seconds") == 30
        assert value(found, "hamtune_schedulers") == 1
        assert value(found, "hamtune_runs_running", purpose="search") == 1
        assert value(found, "hamtune_runs_ended_5m", purpose="search", state="succeeded") == 4
    clock.advance(301)
    found = scraped(one)
    assert not [name for name, _ in found if name == "hamtune_runs_ended_5m"]
    assert value(found, "hamtune_schedulers") == 0, "its lease has run out"
    assert value(found, "hamtune_queue_depth") == 2


def test_requests_are_counted_by_route_never_by_address(client: TestClient) -> None:
    for id in ("0" * 26, "1" * 26):
        client.get(f"/v1/studies/study_{id}")
    client.get("/nowhere/at/all")
    found = scraped(client)
    route = "/v1/studies/{study_id}"
    labels = {"method": "GET", "route": route}
    assert value(found, "hamtune_http_requests_total", **labels, status="404") == 2
    assert value(found, "hamtune_http_request_seconds_count", **labels) == 2
    assert value(found, "hamtune_http_requests_total", method="GET", route="other", status="404")


def test_cached_lookups_count_under_their_route(client: TestClient) -> None:
    for _ in range(3):
        assert client.get("/v1/recommendations").status_code == 200
    etag = client.get("/v1/leaderboards").headers["etag"]
    client.get("/v1/leaderboards", headers={"If-None-Match": etag})
    found = scraped(client)
    name = "hamtune_http_requests_total"
    assert value(found, name, method="GET", route="/v1/recommendations", status="200") == 3
    assert value(found, name, method="GET", route="/v1/leaderboards", status="304") == 1
    assert not [labels for _, labels in found if ("route", "other") in labels]
