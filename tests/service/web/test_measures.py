"""The measures of a run that the pages show."""

from __future__ import annotations

import pytest

from ham.client.records import Run
from service.web.measures import measured


def test_measures_hold_together(run: Run) -> None:
    found = measured(run)
    assert found.nonzeros == sum(layer.nonzeros for layer in found.layers)
    assert found.realised == pytest.approx(1 - (found.nonzeros or 0) / (found.prunable or 1))
    assert 0 < (found.inference_share or 0) < (found.training_share or 0) < 1
    assert (found.explored or 0) > 1 - (found.target or 0)
