"""Every operation of the API has a client method, with its parameters and its answer."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import pytest

from ham.client.client import Client
from ham.client.filters import CombinationKeywords
from ham.client.records import (
    CombinationFilter,
    Command,
    LogLevel,
    Purpose,
    RunState,
    StudyState,
    Untuned,
)
from ham.client.transport import Transport
from service.api.app import create_app
from service.settings import Settings

LEFT_OUT = {
    "follow_study": "an endless stream; `history` returns the same events",
    "follow_all": "an endless stream; `history` returns the same events",
    "readyz": "for load balancers; `health` answers the question of a client",
}
"""Operations without a client method, each with the reason."""

COMPOSED = {"look_up", "evidence_runs", "close"}
"""Client methods that are no operation: they call others, or none."""

WALKED = {"cursor"}
"""Query parameters that the client's walker sends by itself."""

RECORD = SimpleNamespace(id="rec_1", model_dump=lambda **_: {})
ARGUMENTS: dict[str, Any] = {
    "study_id": "study_1",
    "sweep_id": "sweep_1",
    "run_id": "run_1",
    "combination_id": 1,
    "benchmark": "a-benchmark",
    "table": "runs",
    "format": "csv",
    "submitter": "local",
    "idempotency_key": "a-key",
    "reason": "a reason",
    "limit": 7,
    "purpose": Purpose.SEARCH,
    "level": LogLevel.INFO,
    "recommendation": RECORD,
    "request": RECORD,
    "change": RECORD,
    "run": RECORD,
    "combination": dict.fromkeys(CombinationFilter.model_fields, "x"),
}


class Sent(Exception):
    """A request that the client was about to send."""

    def __init__(self, method: str, path: str, **options: Any) -> None:
        self.method, self.path, self.options = method, path, options


class Call(NamedTuple):
    """A client method, the operation that it calls, and the request that it sends."""

    name: str
    operation: dict[str, Any]
    sent: Sent


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"))
    return dict(create_app(settings).openapi())


@pytest.fixture
def calls(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    def record(_: Transport, method: str, path: str, **options: Any) -> None:
        raise Sent(method, path, **options)

    monkeypatch.setattr(Transport, "_send", record)
    return [
        Call(name, operation_of(sent, document), sent)
        for name in sorted(public_methods() - COMPOSED)
        for sent in requests_of(name)
    ]


def public_methods() -> set[str]:
    return {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if name[0] != "_"}


def requests_of(name: str) -> Iterator[Sent]:
    """Call a method with all of its arguments; one that takes a command once for each."""
    client = Client("http://nowhere")
    parameters = inspect.signature(getattr(client, name)).parameters
    for command in Command if "command" in parameters else [None]:
        state = {"studies": StudyState.QUEUED, "all_runs": RunState.RUNNING}.get(name)
        known = ARGUMENTS | {"command": command, "state": state}
        arguments = {parameter: known[parameter] for parameter in parameters}
        arguments |= arguments.pop("combination", {})
        with pytest.raises(Sent) as caught:
            getattr(client, name)(**arguments)
        yield caught.value


def operation_of(sent: Sent, document: dict[str, Any]) -> dict[str, Any]:
    """Return the operation that a request reaches: a literal path comes before a pattern."""
    for path in sorted(document["paths"], key=lambda path: path.count("{")):
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), sent.path):
            return dict(document["paths"][path][sent.method.lower()])
    raise AssertionError(f"{sent.method} {sent.path} is no operation")


def test_every_operation_has_a_method_or_is_left_out_on_purpose(
    calls: list[Call], document: dict[str, Any]
) -> None:
    there = {
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
    }
    called = {call.operation["operationId"] for call in calls}
    assert called & set(LEFT_OUT) == set()
    assert called | set(LEFT_OUT) == there


def test_methods_take_every_parameter_of_their_operation(calls: list[Call]) -> None:
    for call in calls:
        documented: dict[str, set[str]] = {"query": set(), "header": set(), "path": set()}
        for parameter in call.operation.get("parameters", []):
            documented[parameter["in"]].add(parameter["name"])
        options = call.sent.options
        assert {*options.get("params", {})} == documented["query"] - WALKED, call.name
        headers = {name.lower() for name in options.get("headers", {})}
        assert headers == documented["header"], call.name
        has_body = options.get("json") is not None
        assert has_body == ("requestBody" in call.operation), call.name


def test_methods_return_what_their_operation_answers(calls: list[Call]) -> None:
    for call in calls:
        content = next(
            answer["content"]
            for status, answer in call.operation["responses"].items()
            if status.startswith("2")
        )
        returned = get_type_hints(getattr(Client, call.name))["return"]
        if "application/json" not in content:
            assert returned in (str, bytes), call.name
            continue
        schema = content["application/json"]["schema"]
        references = schema.get("oneOf", [schema])
        answered = {reference["$ref"].rpartition("/")[2] for reference in references}
        assert answered == set(schema_names(returned)), call.name


def schema_names(returned: Any) -> Iterator[str]:
    """Yield the names that the OpenAPI document gives to a return annotation."""
    if get_origin(returned) is list:
        yield f"Page_{get_args(returned)[0].__name__}_"
    elif returned == get_type_hints(Client.transferred)["return"]:
        yield from (record.__name__ for record in get_args(get_args(Untuned)[0]))
    else:
        yield returned.__name__


def test_combination_keywords_are_the_fields_of_the_filter() -> None:
    assert set(CombinationKeywords.__annotations__) == set(CombinationFilter.model_fields)
