"""Training one :class:`~ham.config.RunConfig` from start to end, reproducibly."""

from ham.training.loop import Training, train
from ham.training.results import EpochReport, RunResult

__all__ = ["EpochReport", "RunResult", "Training", "train"]
