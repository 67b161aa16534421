"""Every registered model fits the datasets that it says it accepts."""

from __future__ import annotations

import math

import pytest
import torch

from ham.names import DATASETS, MODELS
from ham.sparsity import prunable_weights

PAIRS = [(m.name, d.name) for m in MODELS for d in DATASETS if m.accepts(d)]
WEIGHTS = {"digits_cnn": 25_744, "digits_mlp": 25_856}


@pytest.mark.parametrize(("model", "dataset"), PAIRS)
def test_model_gives_one_output_per_class(model: str, dataset: str) -> None:
    row = DATASETS.get(dataset)
    network = MODELS.get(model).load()(num_classes=row.classes).eval()
    assert network(torch.zeros(2, *row.shape)).shape == (2, row.classes)


@pytest.mark.parametrize(("model", "size"), WEIGHTS.items())
def test_model_has_the_stated_number_of_prunable_weights(model: str, size: int) -> None:
    weights = prunable_weights(MODELS.get(model).load()(num_classes=10))
    assert sum(weight.numel() for weight in weights.values()) == size


@pytest.mark.parametrize("model", sorted(WEIGHTS))
def test_weights_begin_with_variance_two_over_fan_in(model: str) -> None:
    torch.manual_seed(0)
    weights = prunable_weights(MODELS.get(model).load()(num_classes=10))
    for weight in weights.values():
        fan_in = math.prod(weight.shape[1:])
        tolerance = 5 * math.sqrt(2 / weight.numel())  # five standard errors of a variance
        assert float(weight.detach().var()) * fan_in / 2 == pytest.approx(1, abs=tolerance)
