"""The results of a training: one report per epoch, and one result at the end."""

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
    """The result of a training, measured on the weights after the last step, not the best epoch.

    Attributes:
        validation_accuracy: fraction in [0, 1].
        test_accuracy: fraction in [0, 1]; None if the test split was not read.
        sparsity: target and realised, overall and per layer.
        measures: operations, exploration and dead units.
        curve: one report per epoch, in order.
        seconds: wall time of all epochs, in seconds.
        environment: device, versions, threads, precision and hashes of data and code.
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
