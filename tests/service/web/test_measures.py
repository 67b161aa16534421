"""The measures of a run that the pages show."""

from __future__ import annotations

import pytest

from ham.client.records import Run
from ham.results import MeasuredCost, MeasuredSparsity, RunMeasures
from service.web.measures import shown_measures


def test_measures_hold_together(run: Run) -> None:
    shown = shown_measures(run)
    sparsity = shown.sparsity
    assert sparsity.nonzeros == sum(layer.nonzeros for layer in sparsity.layers)
    assert sparsity.realised == pytest.approx(
        1 - (sparsity.nonzeros or 0) / (sparsity.prunable or 1)
    )
    assert 0 < (shown.inference_share or 0) < (shown.training_share or 0) < 1
    assert (shown.of_run.explored or 0) > 1 - (sparsity.target or 0)


def test_measures_of_a_run_without_any_are_empty(run: Run) -> None:
    shown = shown_measures(run.model_copy(update={"measures": RunMeasures()}))
    assert (shown.sparsity, shown.cost) == (MeasuredSparsity(), MeasuredCost())
    assert shown.inference_share is shown.training_share is None
