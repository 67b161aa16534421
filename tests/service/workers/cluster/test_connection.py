"""What a training occupies, from its model's spec and the resources of the cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import ray

from ham.catalog import MODELS
from service.settings import Settings
from service.workers.cluster.connection import resources_per_trial


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> str:
    """A model that fills four GPUs."""
    spec = replace(MODELS.get("digits_mlp"), gpus=4.0)
    monkeypatch.setattr(MODELS, "get", lambda _: spec)
    return spec.name


def has(monkeypatch: pytest.MonkeyPatch, *nodes: dict[str, Any]) -> None:
    alive = [{"Alive": True, "Resources": resources} for resources in nodes]
    dead = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 64.0}}
    monkeypatch.setattr(ray, "nodes", lambda: [*alive, dead])


@pytest.mark.parametrize(
    "gpus, occupied",
    [
        ([8.0, 2.0], {"CPU": 4.0, "GPU": 4.0}),
        ([2.0, 2.0], {"CPU": 2.0, "GPU": 2.0}),
        ([1.0], {"CPU": 1.0, "GPU": 1.0}),
        ([0.0], {"CPU": 1.0}),
    ],
    ids=["as many as its model fills", "what one machine has", "the only one", "none"],
)
def test_training_gets_gpus_of_one_machine(
    model: str, monkeypatch: pytest.MonkeyPatch, gpus: list[float], occupied: dict[str, float]
) -> None:
    has(monkeypatch, *({"CPU": 16.0, "GPU": number} if number else {"CPU": 16} for number in gpus))
    assert resources_per_trial(Settings(), model) == occupied


def test_small_models_share_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, {"CPU": 16.0, "GPU": 8.0})
    assert resources_per_trial(Settings(), "digits_cnn") == {"CPU": 1.0, "GPU": 0.125}


def test_operator_may_say_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, {"CPU": 16.0, "GPU": 8.0})
    assert resources_per_trial(Settings(gpus_per_trial=2), "digits_cnn")["GPU"] == 2
    with pytest.raises(ValueError, match="whole number"):
        Settings(gpus_per_trial=1.5)
