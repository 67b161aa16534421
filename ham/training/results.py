"""The result of a training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ham.results import EpochMetrics, RunMeasures
from ham.sparsifiers.common import SparsityReport


@dataclass(frozen=True)
class RunResult:
    """The result of a training, measured on the weights after the last step, not the best epoch.

    Attributes:
        validation_accuracy: fraction in [0, 1].
        test_accuracy: fraction in [0, 1]; None if the test split was not read.
        sparsity: target and realised, overall and per layer.
        measures: operations, exploration and dead units.
        curve: the metrics of the epochs, in order.
        seconds: wall time of all epochs, in seconds.
        environment: device, versions, threads, precision and hashes of data and code.
    """

    validation_accuracy: float
    test_accuracy: float | None
    sparsity: SparsityReport
    measures: RunMeasures
    curve: tuple[EpochMetrics, ...]
    seconds: float
    environment: dict[str, str | int]

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries, lists, numbers and strings."""
        return asdict(self) | {
            "sparsity": self.sparsity.to_json(),
            "measures": self.measures.to_json(),
            "curve": [asdict(epoch) for epoch in self.curve],
        }
