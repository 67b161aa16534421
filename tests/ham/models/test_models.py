"""Every registered model runs on the datasets that its spec accepts."""

from __future__ import annotations

import math

import pytest
import torch

from ham.catalog import DATASETS, MODELS
from ham.sparsifiers.common import prunable_weights

PAIRS = [(m.name, d.name) for m in MODELS for d in DATASETS if m.accepts(d)]
WEIGHTS = {
    "digits_cnn": (10, 14_288),
    "digits_mlp": (10, 25_856),
    "resnet20": (10, 268_336),
    "resnet32": (10, 461_872),
    "resnet56": (10, 848_944),
    "resnet18_cifar": (100, 11_210_432),
    "resnet50_cifar": (100, 23_652_032),
    "resnet18": (1000, 11_678_912),
    "resnet50": (1000, 25_502_912),
}


@pytest.mark.parametrize(("model", "dataset"), PAIRS)
def test_model_gives_one_output_per_class(model: str, dataset: str) -> None:
    spec = DATASETS.get(dataset)
    with torch.device("meta"):  # shapes without arithmetic
        network = MODELS.get(model).load()(num_classes=spec.classes)
        assert network(torch.zeros(2, *spec.shape)).shape == (2, spec.classes)


@pytest.mark.parametrize("model", MODELS.names())
def test_model_has_the_stated_number_of_prunable_weights(model: str) -> None:
    classes, size = WEIGHTS[model]
    with torch.device("meta"):
        weights = prunable_weights(MODELS.get(model).load()(num_classes=classes))
    assert sum(weight.numel() for weight in weights.values()) == size


@pytest.mark.parametrize("model", ["digits_cnn", "digits_mlp", "resnet20", "resnet18_cifar"])
def test_weights_begin_with_variance_two_over_fan_in(model: str) -> None:
    torch.manual_seed(0)
    weights = prunable_weights(MODELS.get(model).load()(num_classes=10))
    for weight in weights.values():
        fan_in = math.prod(weight.shape[1:])
        tolerance = 5 * math.sqrt(2 / weight.numel())  # five standard errors of a variance
        assert float(weight.detach().var()) * fan_in / 2 == pytest.approx(1, abs=tolerance)
