"""Reading of exports."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pyarrow.parquet
from fastapi.testclient import TestClient


def exported(client: TestClient, table: str, format: str, **query: str) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/exports/{table}", params={"format": format, **query})
    assert answer.status_code == 200, answer.text
    assert f"{table}.{format}" in answer.headers["content-disposition"]
    if format == "jsonl":
        return [json.loads(line) for line in answer.text.splitlines()]
    if format == "csv":
        return list(csv.DictReader(io.StringIO(answer.text)))
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(io.BytesIO(answer.content)).to_pylist()
    return rows
