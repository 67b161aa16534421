"""The OpenAPI document: complete, and followed by every answer of the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis
import jsonschema_rs
import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from service.api.app import create_app
from service.records import Scope
from service.settings import Settings
from service.storage import open_storage
from service.storage.engine.migrate import migrate
from tests.service import studies


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """An API whose storage has something for every operation."""
    settings = Settings(data_dir=Path(tmp_path_factory.mktemp("openapi")))
    storage = open_storage(settings)
    migrate(storage.database)
    studies.submit(storage, studies.request_for())
    studies.finish(storage)
    studies.submit(storage, studies.request_for("rigl"))
    study, lease = studies.claim(storage)
    studies.search(storage, study, lease, 2)
    studies.submit(storage, studies.pareto_request())
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


@pytest.fixture(scope="module")
def gated(app: FastAPI, tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """The same API with keys required."""
    settings = Settings(data_dir=Path(tmp_path_factory.mktemp("gated")), require_keys=True)
    return create_app(settings, app.state.storage)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_api_answers_generated_requests_as_documented(app: FastAPI, mode: GenerationMode) -> None:
    send_generated_requests(app, mode, {}, BRIEF)


@pytest.mark.parametrize("scope", [None, Scope.READ, Scope.ADMIN])
def test_api_with_keys_answers_generated_requests_as_documented(
    gated: FastAPI, scope: Scope | None
) -> None:
    """Without a key, with a `read` key, and with an `admin` key."""
    headers = {}
    if scope is not None:
        _, token = gated.state.storage.keys.create("schemathesis", scope)
        headers["Authorization"] = f"Bearer {token}"
    brief = hypothesis.settings(BRIEF, max_examples=3)
    gated.openapi()  # the document itself is behind the gate
    send_generated_requests(gated, GenerationMode.POSITIVE, headers, brief)


def send_generated_requests(
    app: FastAPI, mode: GenerationMode, headers: dict[str, str], brief: hypothesis.settings
) -> None:
    """Send generated requests to every operation and check the answers against the document.

    Valid data may be answered with 422: a schema cannot say which names can be combined.
    """
    schema = schemathesis.openapi.from_dict(app.openapi())
    schema.app = app
    operations = []
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        if result.ok().path != "/v1/events":  # the stream of events has no end
            operations.append(result.ok())
    assert len(operations) > 15
    for operation in operations:
        if mode == GenerationMode.NEGATIVE and not _can_be_wrong(operation):
            continue

        @brief
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def answers_as_documented(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

        answers_as_documented()


def _can_be_wrong(operation: Any) -> bool:
    """Return True if a request can break the schema of an operation.

    None can where any text is allowed.
    """
    takes_something = operation.body or operation.query or operation.path_parameters
    return bool(takes_something) and operation.path != "/v1/leaderboards/{benchmark}"


def test_every_operation_has_a_summary_a_description_and_a_unique_name(
    document: dict[str, Any],
) -> None:
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all(
        operation["summary"] and operation["description"] and operation["tags"]
        for operation in operations
    )
    names = [operation["operationId"] for operation in operations]
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


def test_every_operation_has_a_valid_example_of_its_answer(document: dict[str, Any]) -> None:
    """``python -m tests.service.api.examples`` writes the examples anew."""
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if path == "/v1/events" or path.endswith(
                "/bundle"
            ):  # like the events of a study; binary
                continue
            contents = [
                content
                for status, response in operation["responses"].items()
                if status < "300"
                for content in response["content"].values()
                if "example" in content
            ]
            assert contents, path
            if (schema := contents[0].get("schema")) is not None:
                whole = {**schema, "components": document["components"]}
                jsonschema_rs.validate(whole, contents[0]["example"])


def test_every_parameter_and_body_has_an_example_or_a_default(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for parameter in operation.get("parameters", []):
                assert _has_example(document, parameter["schema"] | parameter), (path, parameter)
            for content in operation.get("requestBody", {}).get("content", {}).values():
                assert _has_example(document, content["schema"]), path


def _has_example(document: dict[str, Any], schema: dict[str, Any]) -> bool:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _has_example(document, document["components"]["schemas"][name])
    if schema.keys() & {"example", "examples", "enum", "default"}:
        return True
    return any(_has_example(document, part) for part in schema.get("anyOf", []))


def test_example_of_a_request_is_accepted_as_it_stands(
    app: FastAPI, document: dict[str, Any]
) -> None:
    [example] = document["components"]["schemas"]["StudyRequest"]["examples"]
    assert TestClient(app).post("/v1/studies", json=example).status_code == 202


def test_docs_page_loads_nothing_from_other_hosts(app: FastAPI) -> None:
    text = TestClient(app).get("/docs").text
    assert "http://" not in text and "https://" not in text and "//cdn" not in text
    assert "/docs-assets/swagger-ui-bundle.js" in text
