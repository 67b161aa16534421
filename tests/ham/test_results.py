"""Results of a training: one definition for the training loop, the client and the API."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

import ham.training
from ham.client import records
from ham.results import EpochMetrics

POINT: dict[str, Any] = {
    "epoch": 1,
    "train_loss": 0.5,
    "validation_accuracy": 0.9,
    "learning_rate": 0.1,
    "seconds": 1.5,
    "sign_flips": 0.01,
    "mask_churn": 0.02,
}


def test_training_and_client_share_one_class_of_epoch_metrics() -> None:
    assert ham.training.EpochMetrics is records.EpochMetrics is EpochMetrics


def test_epoch_metrics_are_described_and_bounded_where_they_are_served() -> None:
    schema = TypeAdapter(EpochMetrics).json_schema()
    assert schema["description"] == "One point of a learning curve."
    assert [*schema["properties"]] == schema["required"] == [*POINT]
    described = {name for name, of in schema["properties"].items() if "description" in of}
    assert described == {"validation_accuracy", "seconds", "sign_flips", "mask_churn"}
    assert schema["properties"]["epoch"]["minimum"] == 1


def test_epoch_metrics_are_read_from_json_and_written_in_the_same_order() -> None:
    adapter = TypeAdapter(EpochMetrics)
    assert adapter.dump_python(adapter.validate_python(POINT)) == POINT
    assert [*adapter.dump_python(EpochMetrics(**POINT))] == [*POINT]
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        adapter.validate_python(POINT | {"epoch": 0})


def test_points_of_external_curves_may_have_keys_of_another_version() -> None:
    """The record of an external run forbids unknown keys of its own, and values like NaN."""
    other_version: Any = POINT | {"gradient_norm": 3.0, "train_loss": float("nan")}
    run = records.NewExternalRun(
        source="a test",
        model="digits_cnn",
        dataset="digits",
        sparsifier="rigl",
        seed=0,
        epochs=1,
        curve=(other_version,),
    )
    assert [*vars(run.curve[0])] == [*POINT]
