"""Measures of stored runs: typed where they are known, and served as they were stored."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from ham.client.records import StoredMeasures
from ham.results import EarlyStop, MeasuredCost, MeasuredSparsity, RunMeasures

KNOWN = [each.name for each in fields(RunMeasures)]
NESTED = [each.name for of in (MeasuredSparsity, MeasuredCost, EarlyStop) for each in fields(of)]
FINITE = st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | st.integers() | FINITE | st.text()
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NESTED) | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)
STORED = st.dictionaries(st.sampled_from(KNOWN) | st.text(), JSON, max_size=6)
LAYER = {"name": "fc.weight", "size": 10, "kept": 2, "nonzeros": 1, "sparsity": 0.9}


class Record(BaseModel):
    """A record with measures, whose own rules are strict."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    measures: StoredMeasures = StoredMeasures()


@given(STORED)
def test_any_json_object_is_read_and_served_unchanged(stored: dict[str, Any]) -> None:
    record = Record.model_validate({"measures": stored})
    assert isinstance(record.measures, StoredMeasures)
    assert record.model_dump() == {"measures": stored}
    assert json.loads(record.model_dump_json()) == {"measures": stored}


def test_known_measures_are_typed() -> None:
    measures = StoredMeasures.read(
        {
            "training_flops": 12,
            "explored": 0.5,
            "sparsity": {"target": 0.9, "realised": 0.89, "layers": [LAYER]},
            "cost": {"gpu_seconds": 1.5},
            "early_stopping": {"rule": "median", "rank_correlation": 0.8},
        }
    )
    assert (measures.training_flops, measures.explored, measures.dead_units) == (12, 0.5, None)
    assert measures.sparsity is not None and measures.cost is not None
    assert measures.sparsity.layers[0].nonzeros == 1
    assert measures.realised_sparsity == 0.89
    assert measures.cost == MeasuredCost(gpu_seconds=1.5)
    assert measures.early_stopping == EarlyStop(rule="median", rank_correlation=0.8)


@pytest.mark.parametrize(
    "invalid",
    [
        {"training_flops": "many"},
        {"training_flops": float("nan")},
        {"explored": [1]},
        {"sparsity": {"realised": 0.9, "layers": [{"name": "fc.weight"}]}},
        {"sparsity": {"realised": 0.9, "emerged": "no"}},
        {"cost": 3},
        {"gradient_noise": {"scale": 2}},
    ],
    ids=str,
)
def test_invalid_or_unknown_measures_hide_no_valid_ones(invalid: dict[str, Any]) -> None:
    stored = {"inference_flops": 7, "sparsity": {"realised": 0.9}} | invalid
    measures = StoredMeasures.read(stored)
    assert measures.inference_flops == 7 and measures.realised_sparsity == 0.9
    assert measures.training_flops is None and measures.cost is None
    assert measures.stored == stored


def test_measures_that_are_no_object_are_refused() -> None:
    with pytest.raises(ValidationError, match="must be a JSON object, not list"):
        Record.model_validate({"measures": [1]})


def test_update_adds_measures_and_keeps_what_was_stored() -> None:
    stored = {"x": 1, "cost": {"gpu_seconds": 1.0}, "dead_units": 3}
    updated = StoredMeasures.read(stored).updated(RunMeasures(cost=MeasuredCost(2.0)))
    assert updated.stored == {
        "x": 1,
        "cost": {"gpu_seconds": 2.0, "peak_memory_bytes": None},
        "dead_units": 3,
    }
    assert updated.cost == MeasuredCost(2.0) and updated.dead_units == 3
    assert stored["cost"] == {"gpu_seconds": 1.0}, "the old measures are unchanged"


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_schema_documents_every_known_measure(mode: Any) -> None:
    schema = Record.model_json_schema(mode=mode)["$defs"]
    assert [*schema["RunMeasures"]["properties"]] == KNOWN
    for name in ("RunMeasures", "MeasuredSparsity", "MeasuredCost", "EarlyStop"):
        assert all("description" in each for each in schema[name]["properties"].values())
        assert "required" not in schema[name] and "additionalProperties" not in schema[name]
