"""The OpenAPI document: complete, and true of what the API answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from service.api.app import create_app
from service.settings import Settings
from service.storage import open_storage
from service.storage.migrate import migrate
from tests.service import studies


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """An API that has something of everything to show."""
    settings = Settings(data_dir=Path(tmp_path_factory.mktemp("openapi")))
    storage = open_storage(settings)
    migrate(storage.database)
    studies.submit(storage, studies.request_for())
    studies.finish(storage)
    studies.submit(storage, studies.request_for("rigl"))
    study, held = studies.claim(storage)
    studies.search(storage, study, held, 2)
    studies.submit(storage, studies.request_for("dense", 0.0))
    return create_app(settings, storage)


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


BRIEF = hypothesis.settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_api_answers_whatever_is_sent_as_documented(app: FastAPI, mode: GenerationMode) -> None:
    """But for this: a schema cannot say which names go together, so 422 may answer valid data."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    operations = [result.ok() for result in schema.get_all_operations()]
    operations = [row for row in operations if row.path != "/v1/events"]  # it has no end
    assert len(operations) > 15
    for operation in operations:
        if mode == GenerationMode.NEGATIVE and not _can_be_wrong(operation):
            continue

        @BRIEF
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def answers_as_documented(case: schemathesis.Case) -> None:
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        answers_as_documented()


def _can_be_wrong(operation: Any) -> bool:
    """Tell whether there are requests that break the schema: where any text will do, none does."""
    takes_something = operation.body or operation.query or operation.path_parameters
    return bool(takes_something) and operation.path != "/v1/leaderboards/{benchmark}"


def test_every_operation_is_summed_up_described_and_named_once(document: dict[str, Any]) -> None:
    operations = [row for path in document["paths"].values() for row in path.values()]
    assert all(row["summary"] and row["description"] and row["tags"] for row in operations)
    names = [row["operationId"] for row in operations]
    assert len(set(names)) == len(names)


def test_every_error_is_documented_as_a_problem(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            errors = {k: v for k, v in operation["responses"].items() if k >= "400"}
            assert "parameters" not in operation or "422" in errors, (method, path)
            for response in errors.values():
                [media_type] = response["content"]
                assert media_type == "application/problem+json"


def test_every_success_has_a_schema(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if status < "400":
                    assert response["content"]
                    for content in response["content"].values():
                        assert content.get("schema") or content["itemSchema"]


def test_example_of_a_request_is_accepted_as_it_stands(
    app: FastAPI, document: dict[str, Any]
) -> None:
    [example] = document["components"]["schemas"]["StudyRequest"]["examples"]
    assert TestClient(app).post("/v1/studies", json=example).status_code == 202


def test_docs_page_asks_no_other_host(app: FastAPI) -> None:
    text = TestClient(app).get("/docs").text
    assert "http://" not in text and "https://" not in text and "//cdn" not in text
    assert "/docs-assets/swagger-ui-bundle.js" in text
