"""The warning about checkpoints that take long compared with the training."""

from __future__ import annotations

import pytest

from service.workers.cluster.trainable import slow_saving_warning


@pytest.mark.parametrize(
    ("saving", "training"), [(0.0, 0.0), (0.0, 5.0), (0.1, 0.9), (1.0, 1000.0)]
)
def test_saving_that_takes_up_to_a_tenth_of_the_time_is_no_reason_to_warn(
    saving: float, training: float
) -> None:
    assert slow_saving_warning(saving, training) is None


@pytest.mark.parametrize(("saving", "training"), [(0.2, 0.9), (1.0, 0.0), (3.0, 9.0)])
def test_slow_saving_is_warned_of_with_its_seconds_and_the_remedy(
    saving: float, training: float
) -> None:
    warning = slow_saving_warning(saving, training) or ""
    assert f"took {saving:.2f} s after {training:.2f} s of training" in warning
    assert "HAMTUNE_CHECKPOINT_SECONDS=60" in warning and "HAMTUNE_CHECKPOINTS" in warning
