"""The response surface behind a recommendation: numbers and picture."""

from __future__ import annotations

from xml.etree import ElementTree

from fastapi.testclient import TestClient

from ham.client.records import SurfaceGrid
from service.storage import Storage
from tests.service import studies

NOWHERE = "rec_" + "0" * 26


def test_surface_is_stored_with_its_recommendation_and_not_listed(
    client: TestClient, storage: Storage
) -> None:
    studies.submit(storage, studies.request_for())
    stored = studies.finish(storage)
    answer = client.get(f"/v1/recommendations/{stored.id}/surface")
    surface = SurfaceGrid.model_validate(answer.json())
    assert surface.candidate == stored.candidate
    assert surface.alphas[0] == surface.betas[0] == 0
    shape = {len(row) for rows in (surface.mean, surface.deviation) for row in rows}
    assert shape == {len(surface.betas)} and len(surface.mean) == len(surface.alphas)
    assert {tried.setting for tried in surface.tried} >= {stored.candidate}
    [listed] = client.get("/v1/recommendations").json()["items"]
    assert "surface" not in listed
    assert listed["optimum"]["alpha"]["low"] <= stored.candidate.alpha


def test_surface_is_drawn(client: TestClient, storage: Storage) -> None:
    studies.submit(storage, studies.request_for())
    stored = studies.finish(storage)
    answer = client.get(f"/recommendations/{stored.id}/surface.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    shapes = [element.tag.split("}")[1] for element in ElementTree.fromstring(answer.text).iter()]
    assert shapes.count("rect") > 900
    assert shapes.count("circle") >= 2 * 4
    assert f'src="/recommendations/{stored.id}/surface.svg"' in client.get("/").text


def test_unknown_recommendation_has_no_surface(client: TestClient) -> None:
    answer = client.get(f"/v1/recommendations/{NOWHERE}/surface")
    assert answer.status_code == 404
    assert NOWHERE in answer.json()["detail"]
