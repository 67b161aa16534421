"""What a training tells: one report per epoch, one result at the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ham.sparsifiers.common import SparsityReport
from ham.training.sparsity_metrics import RunMeasures


@dataclass(frozen=True)
class EpochReport:
    """One epoch.

    Attributes:
        epoch: from 1.
        train_loss: mean over the epoch's steps, label smoothing included.
        validation_accuracy: after the epoch, fraction in [0, 1].
        learning_rate: of the epoch's last step.
        seconds: wall time, evaluation included.
        sign_flips: share of weights, nonzero before and after the epoch, that changed sign.
        mask_churn: share of the weights nonzero after the epoch that were zero before it.
    """

    epoch: int
    train_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float
    sign_flips: float
    mask_churn: float


@dataclass(frozen=True)
class RunResult:
    """One training, measured on the weights of its last step and never of its best epoch.

    Attributes:
        validation_accuracy: fraction in [0, 1].
        test_accuracy: fraction in [0, 1], or None where the test split was not touched.
        sparsity: target and realised, overall and per layer.
        measures: operations, exploration and dead units.
        curve: the epochs in order.
        seconds: wall time of all epochs.
        environment: device, versions, threads, precision and the data's hash.
    """

    validation_accuracy: float
    test_accuracy: float | None
    sparsity: SparsityReport
    measures: RunMeasures
    curve: tuple[EpochReport, ...]
    seconds: float
    environment: dict[str, str | int]

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries, lists, numbers and strings."""
        return asdict(self) | {
            "sparsity": self.sparsity.to_json(),
            "curve": [asdict(epoch) for epoch in self.curve],
        }
