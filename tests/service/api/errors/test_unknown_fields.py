"""Hints for unknown fields are those of the operation that was called."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from ham.client.records import (
    Budget,
    BudgetChange,
    NewExternalRun,
    Reason,
    StudyChange,
    StudyRequest,
    SweepRequest,
)
from service.api.app import ROUTES
from service.api.errors.unknown_fields import unknown_field
from service.api.routes.exports import ExportQuery
from service.api.routes.runs import RunQuery
from service.settings import Settings
from service.storage import Storage
from tests.service import studies

STUDY = "/v1/studies/{study_id}"


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    """SQLite alone: a refused request never reaches a database."""
    return Settings(data_dir=tmp_path)


@pytest.mark.parametrize(
    ("method", "path", "body", "field", "match", "model"),
    [
        ("POST", "/v1/studies", {"modle": "x"}, "modle", "model", StudyRequest),
        ("POST", "/v1/studies", {"budget": {"trails": 9}}, "budget.trails", "trials", Budget),
        ("POST", "/v1/studies/plan", {"sparsety": 1}, "sparsety", "sparsity", StudyRequest),
        ("POST", "/v1/sweeps", {"model": "x"}, "model", "models", SweepRequest),
        ("POST", "/v1/sweeps", {"budget": {"trails": 9}}, "budget.trails", "trials", Budget),
        ("POST", "/v1/runs", {"alhpa": 1}, "alhpa", "alpha", NewExternalRun),
        ("PATCH", STUDY, {"priorty": 1}, "priorty", "priority", StudyChange),
        ("PATCH", STUDY, {"budget": {"trails": 9}}, "budget.trails", "trials", BudgetChange),
        ("POST", f"{STUDY}/cancel", {"raeson": "x"}, "raeson", "reason", Reason),
        ("GET", "/v1/runs?porpose=search", None, "porpose", "purpose", RunQuery),
        ("GET", "/v1/exports/runs?fromat=csv", None, "fromat", "format", ExportQuery),
        ("GET", f"{STUDY}/history?limt=3", None, "limt", "limit", None),
    ],
)
def test_hint_names_the_fields_of_the_operation_that_was_called(
    client: TestClient,
    storage: Storage,
    method: str,
    path: str,
    body: Any,
    field: str,
    match: str,
    model: Any,
) -> None:
    study = studies.submit(storage, studies.request_for())
    answer = client.request(method, path.format(study_id=study.id), json=body)
    assert answer.status_code == 422
    [allowed] = [error["allowed"] for error in answer.json()["errors"] if error["field"] == field]
    assert f"did you mean '{match}'" in allowed
    if model is not None:
        assert allowed.endswith(f"known names: {', '.join(sorted(model.model_fields))}")


def test_no_hint_is_the_very_word_that_was_sent(client: TestClient) -> None:
    answer = client.post("/v1/sweeps", json={"model": "digits_cnn"})
    for error in answer.json()["errors"]:
        assert f"did you mean '{error['field']}'" not in error["allowed"]


def test_list_items_are_models_too() -> None:
    def operation(sweeps: list[SweepRequest]) -> None:
        """Take several sweeps at once."""

    route = APIRoute("/several", operation, methods=["POST"])
    assert "did you mean 'trials'" in unknown_field(route, "body", [0, "budget", "trails"])
    assert "/docs" in unknown_field(route, "body", ["trails"])
    assert "/docs" in unknown_field(route, "header", ["trails"])
    assert "/docs" in unknown_field(None, "body", ["trails"])


def test_every_operation_with_a_body_knows_the_fields_of_its_body() -> None:
    routes = [route for module in ROUTES for route in module.router.routes]
    with_body = [route for route in routes if isinstance(route, APIRoute) and route.body_field]
    assert len(with_body) >= 9
    for route in with_body:
        assert "known names: " in unknown_field(route, "body", ["nothing"]), route.path
