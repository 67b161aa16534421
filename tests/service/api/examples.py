"""Writer of the examples in the OpenAPI document: ``python -m tests.service.api.examples``.

The examples are answers about made-up studies; lists are cut to their first items.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from ham.client.records import LogLevel, NewLogLine
from service.api.app import create_app
from service.api.openapi import EXAMPLES
from service.clock import utc_now
from service.settings import Settings
from tests.service import studies
from tests.service.builders import opened

_MAX_ITEMS = 2
_MAX_NUMBERS = 8
_MAX_TEXT = 2000


def examples(settings: Settings) -> dict[str, Any]:
    """Return an answer of every operation except streams and bundles, by operation id."""
    with opened(settings) as storage:
        first = studies.submit(storage, studies.request_for("rigl")).id
        studies.finish(storage)
        for name in ("random", "set"):
            budget = studies.SMALL.model_copy(update={"trials": 12})
            studies.submit(storage, studies.request_for(name, budget=budget))
            recommendation = studies.finish(storage)
        front = studies.submit(storage, studies.pareto_request()).id
        studies.finish_pareto_study(storage)
        waiting = studies.submit(storage, studies.request_for("dense", 0.0)).id
        study, lease = studies.claim(storage)
        studies.search(storage, study, lease, 1)
        [run] = storage.runs.of_study(waiting)
        line = NewLogLine(run_id=run.id, at=utc_now(), level=LogLevel.INFO, event="a run ended")
        storage.logs.append(lease, [line])
        output = settings.data_dir / "logs" / f"{first}.log"
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text('{"event": "a run ended", "level": "info"}\n')
        app = create_app(settings, storage)
        client = TestClient(app)
        ids = {
            "study_id": first,
            "run_id": run.id,
            "recommendation_id": recommendation.id,
            "combination_id": "1",
            "benchmark": "digits_cnn-digits-0.90-digits@1",
            "table": "runs",
        }
        return _answers(client, app.openapi(), ids, {"logs": waiting, "front": front})


def _answers(
    client: TestClient, document: dict[str, Any], ids: dict[str, str], others: dict[str, str]
) -> dict[str, Any]:
    sweep = client.post("/v1/sweeps", json=_body(document, "SweepRequest"))
    ids["sweep_id"] = sweep.json()["id"]
    found: dict[str, Any] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path == "/v1/events" or path.endswith("/bundle"):
                continue
            other = others.get(path.rpartition("/")[2])
            at = ids | ({"study_id": other} if other and "study_id" in path else {})
            if method != "get" and "{study_id}" in path:
                request = _body(document, "StudyRequest")
                at["study_id"] = client.post("/v1/studies", json=request).json()["id"]
            found[operation["operationId"]] = _answer(client, document, method, path, at)
    return found


def _answer(
    client: TestClient, document: dict[str, Any], method: str, path: str, ids: dict[str, str]
) -> Any:
    query: dict[str, Any] = {}
    if path.endswith("/transferred"):
        query = {"model": "digits_mlp", "dataset": "digits", "sparsifier": "set", "sparsity": 0.9}
    operation = document["paths"][path][method]
    body = None
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        name = schema.get("$ref", "").rpartition("/")[2]
        body = _body(document, name) if name else None
    answer = client.request(method, path.format(**ids), json=body, params=query)
    assert answer.is_success, (path, answer.text)
    if answer.headers["content-type"] == "application/json":
        return _cut(answer.json())
    return "".join(answer.text[:_MAX_TEXT].splitlines(keepends=True)[:3])


def _body(document: dict[str, Any], name: str) -> Any:
    return document["components"]["schemas"][name]["examples"][0]


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _cut(part) for name, part in value.items()}
    if isinstance(value, list):
        long = len(value) > _MAX_NUMBERS or (value and isinstance(value[0], dict))
        return [_cut(part) for part in (value[:_MAX_ITEMS] if long else value)]
    return value


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        made = examples(Settings(data_dir=Path(folder)))
    EXAMPLES.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")
