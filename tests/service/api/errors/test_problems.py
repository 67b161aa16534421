"""Every error is a problem that names the field, its value, the rule and the remedy."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.settings import Settings
from service.storage import Storage
from tests.service import studies

GOOD: dict[str, Any] = {
    "model": "digits_cnn",
    "dataset": "digits",
    "sparsifier": "random",
    "sparsity": 0.9,
}


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    """SQLite alone: a refused request never reaches a database."""
    return Settings(data_dir=tmp_path)


@pytest.mark.parametrize(
    ("changes", "field", "value", "allowed"),
    [
        ({"model": "digits_cn"}, "model", "digits_cn", "did you mean 'digits_cnn'"),
        ({"dataset": "digitz"}, "dataset", "digitz", "did you mean 'digits'"),
        ({"sparsifier": "RigL"}, "sparsifier", "RigL", "rigl"),
        ({"optimizer": "sdg"}, "optimizer", "sdg", "did you mean 'sgd'?"),
        ({"recipe": "digits@99"}, "recipe", "digits@99", "digits@1"),
        ({"sparsity": 1.0}, "sparsity", 1.0, "0 <= sparsity < 1"),
        ({"sparsity": -0.1}, "sparsity", -0.1, "0 <= sparsity < 1"),
        ({"sparsity": float("nan")}, "sparsity", "nan", "0 <= sparsity < 1"),
        ({"sparsity": float("inf")}, "sparsity", "inf", "0 <= sparsity < 1"),
        ({"sparsity": "0.9"}, "sparsity", "0.9", "it should be a valid number"),
        ({"sparsity": True}, "sparsity", True, "it should be a valid number"),
        ({"sparsifier": "dense"}, "sparsity", 0.9, "takes sparsity 0 only"),
        ({"sparsifier": "spred"}, "sparsifier", "spred", "train it without HAM"),
        ({"sparsifier": "sign_in"}, "sparsifier", "sign_in", "train it without HAM"),
        ({"budget": {"trials": 0}}, "budget.trials", 0, "greater than or equal to 1"),
        ({"budget": {"trials": -3}}, "budget.trials", -3, "greater than or equal to 1"),
        ({"budget": {"trials": 2.5}}, "budget.trials", 2.5, "it should be a valid integer"),
        ({"budget": {"trials": True}}, "budget.trials", True, "it should be a valid integer"),
        ({"budget": {"trials": 10**30}}, "budget.trials", 10**30, "less than or equal to 10000"),
        ({"budget": {"confirmation_seeds": 2}}, "budget.confirmation_seeds", 2, "0, or 3 to 100"),
        ({"budget": {"trails": 9}}, "budget.trails", 9, "did you mean 'trials'?"),
        ({"budget": None}, "budget", None, "it should be"),
        ({"sparsety": 0.5}, "sparsety", 0.5, "did you mean 'sparsity'"),
        ({"model": 5}, "model", 5, "it should be a valid string"),
        ({"model": None}, "model", None, "it should be a valid string"),
        ({"model": "x" * 10_000}, "model", "x" * 200 + "…", "at most 100 characters"),
        ({"model": "\ud800"}, "model", "\ud800", "unicode"),
        ({"model": "\x00"}, "model", "\x00", "known names"),
    ],
)
def test_bad_request_names_field_value_and_rule(
    client: TestClient, changes: dict[str, Any], field: str, value: Any, allowed: str
) -> None:
    content = json.dumps({**GOOD, **changes})
    response = client.post(
        "/v1/studies", content=content, headers={"content-type": "application/json"}
    )
    assert response.status_code == 422
    problem = response.json()
    [error] = problem["errors"]
    assert error["field"] == field
    assert error["value"] == value
    assert allowed in error["allowed"]
    assert field in problem["detail"]
    assert client.get("/v1/studies").json()["items"] == []


def test_every_broken_field_is_named_at_once(client: TestClient) -> None:
    response = client.post("/v1/studies", json={"model": 1, "budget": {"trials": 0}})
    fields = {error["field"] for error in response.json()["errors"]}
    assert fields == {"model", "dataset", "sparsifier", "budget.trials"}


@pytest.mark.parametrize("content", [b"{", b"", b"[]", b"null", b'"x"', b"\xff\xfe"])
def test_invalid_body_is_refused(client: TestClient, content: bytes) -> None:
    response = client.post(
        "/v1/studies", content=content, headers={"content-type": "application/json"}
    )
    assert response.status_code in (400, 422)
    assert_problem(response, "/v1/studies")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/studies?limit=0", "limit"),
        ("/v1/studies?limit=x", "limit"),
        ("/v1/studies?cursor=%00", "cursor"),
        ("/v1/studies?state=done", "state"),
        ("/v1/studies?modle=digits_cnn", "modle"),
        ("/v1/studies?sparsity=nan", "sparsity"),
        ("/v1/studies/nonsense", "study_id"),
        ("/v1/runs/%00", "run_id"),
        ("/v1/recommendations?model=digits_cn", "model"),
        ("/v1/recommendations?recipe=%00", "recipe"),
        ("/v1/recommendations?sparsity=1", "sparsity"),
    ],
)
def test_bad_query_names_the_field(client: TestClient, path: str, field: str) -> None:
    response = client.get(path)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert_problem(response, path.split("?")[0])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/nothing", 404),
        ("DELETE", "/v1/studies", 405),
        ("PUT", "/", 405),
        ("GET", "/v1/leaderboards/nothing", 404),
    ],
)
def test_wrong_address_or_method_is_a_problem(
    client: TestClient, method: str, path: str, status: int
) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert_problem(response, path)
    assert ("allow" in response.headers) == (status == 405)


def test_unexpected_error_is_a_problem_without_its_details(
    settings: Settings, storage: Storage
) -> None:
    storage.database.engine.dispose()
    (settings.data_dir / "hamtune.sqlite3").write_bytes(b"no database any more, just bytes" * 64)
    client = TestClient(create_app(settings, storage), raise_server_exceptions=False)
    response = client.get("/v1/studies")
    assert response.status_code == 500
    assert_problem(response, "/v1/studies")
    assert str(settings.data_dir) not in response.text


def test_numbers_that_json_lacks_are_answered_as_null(
    client: TestClient, storage: Storage
) -> None:
    study = studies.submit(storage, studies.request_for())
    _, lease = studies.claim(storage)
    studies.search(storage, study, lease, 1, measures={"loss": float("nan"), "x": [float("inf")]})
    text = client.get(f"/v1/studies/{study.id}/trials").text
    [run] = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in {text}"))["items"]
    assert run["measures"] == {"loss": None, "x": [None]}


def assert_problem(response: Any, path: str) -> None:
    """Assert the media type of RFC 9457 and the promised members."""
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) == {"type", "title", "status", "detail", "instance", "errors"}
    assert problem["status"] == response.status_code
    assert problem["detail"]
