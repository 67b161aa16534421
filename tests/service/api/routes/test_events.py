"""Server-sent events over real HTTP: a resumed stream loses and repeats no event."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Generator
from typing import Any, NamedTuple

import httpx2
import pytest
from fastapi.testclient import TestClient

from ham.client.records import Command
from service.storage import Storage
from tests.service import studies

DISCONNECTS = int(os.environ.get("HAMTUNE_TEST_DISCONNECTS", "30"))


class Sent(NamedTuple):
    """One received event."""

    id: int | None
    name: str
    data: dict[str, Any]


def listen(url: str, last: int | None = None, **query: int) -> Generator[Sent]:
    """Yield events until the stream ends; closing the generator closes the connection."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    with httpx2.stream("GET", url, headers=headers, params=query, timeout=30) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
            elif "data" in fields:
                id = int(fields["id"]) if "id" in fields else None
                yield Sent(id, fields.get("event", ""), json.loads(fields["data"]))
                fields = {}


def test_stream_of_a_study_has_its_transitions_and_ends_with_the_study(
    url: str, storage: Storage
) -> None:
    study_id = studies.submit(storage, studies.request_for()).id
    address = f"{url}/v1/studies/{study_id}/events"
    events = listen(address)
    assert next(events).data["state"] == "queued"
    storage.studies.command(study_id, Command.PAUSE, by="ada", reason="lunch")
    paused = next(events)
    assert (paused.name, paused.data["by"], paused.data["reason"]) == ("state", "ada", "lunch")
    storage.studies.command(study_id, Command.CANCEL)
    *rest, end = events
    assert [event.data["state"] for event in rest] == ["cancelled"]
    assert end.name == "end"
    assert [event.name for event in listen(address, last=rest[-1].id)] == ["end"]
    history = httpx2.get(f"{url}/v1/studies/{study_id}/history").json()["items"]
    assert [event["state"] for event in history] == ["queued", "paused", "cancelled"]
    assert [event["id"] for event in history] == [
        event.id for event in listen(address) if event.id
    ]


def test_disconnects_lose_and_repeat_nothing(url: str, storage: Storage) -> None:
    """HAMTUNE_TEST_DISCONNECTS=1000 makes 1000 disconnects."""
    luck = random.Random(0)
    writers = [
        threading.Thread(target=_submit_and_end, args=(storage, 1 + DISCONNECTS // 4))
        for _ in range(3)
    ]
    for writer in writers:
        writer.start()
    received: list[int] = []
    for _ in range(DISCONNECTS):
        events = listen(f"{url}/v1/events", after=received[-1] if received else 0)
        for _ in range(luck.randrange(1, 4)):
            event = next(events)
            assert event.id is not None
            received.append(event.id)
        events.close()
    for writer in writers:
        writer.join()
    written = [event.id for event in storage.events.after(0, limit=100_000)]
    assert len(received) >= DISCONNECTS
    assert received == written[: len(received)]


def _submit_and_end(storage: Storage, count: int) -> None:
    """Submit studies and end them; each has four events."""
    for _ in range(count):
        study_id = studies.submit(storage, studies.request_for()).id
        for command in (Command.PAUSE, Command.RESUME, Command.CANCEL):
            storage.studies.command(study_id, command)


def test_stream_of_all_studies_begins_with_the_next_event(url: str, storage: Storage) -> None:
    studies.submit(storage, studies.request_for())
    events = listen(f"{url}/v1/events", last=storage.events.newest())
    later = studies.submit(storage, studies.request_for())
    assert next(events).data["study_id"] == later.id
    events.close()


@pytest.mark.parametrize("position", ["-1", "x", "9" * 20])
def test_invalid_position_is_422(client: TestClient, position: str) -> None:
    response = client.get("/v1/events", headers={"Last-Event-ID": position})
    assert response.status_code == 422
    assert "Last-Event-ID" in response.json()["errors"][0]["field"] or response.json()["errors"]


def test_stream_of_an_unknown_study_is_404(client: TestClient) -> None:
    assert client.get("/v1/studies/study_" + "0" * 26 + "/events").status_code == 404
