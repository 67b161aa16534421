"""Combinations, and every version of their recommendations."""

from __future__ import annotations

from fastapi.testclient import TestClient

from service.storage import Storage
from tests.service import studies
from tests.service.api.pagination import walk


def test_combinations_and_every_version_of_their_recommendation(
    client: TestClient, storage: Storage, two_studies: list[str]
) -> None:
    studies.submit(storage, studies.request_for("rigl"))
    newest = studies.finish(storage)
    studies.submit(storage, studies.request_for("dense", 0.0))
    entries = walk(client, "/v1/combinations", limit=2)
    counts = {
        entry["combination"]["sparsifier"]: (entry["studies"], entry["recommendations"])
        for entry in entries
    }
    assert counts == {"random": (1, 1), "rigl": (2, 2), "dense": (1, 0)}
    [rigl] = client.get("/v1/combinations", params={"sparsifier": "rigl"}).json()["items"]
    address = f"/v1/combinations/{rigl['id']}"
    assert client.get(address).json() == rigl
    versions = walk(client, f"{address}/recommendations", limit=1)
    assert [version["version"] for version in versions] == [2, 1]
    assert versions[0]["id"] == newest.id
    assert client.get("/v1/combinations/999999/recommendations").status_code == 404
    [benchmark, *_] = client.get("/v1/benchmarks").json()["items"]
    assert client.get(f"/v1/leaderboards/{benchmark['name']}").status_code == 200
