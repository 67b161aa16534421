"""Reproducible training of one :class:`~ham.config.RunConfig`, from start to end."""

from ham.results import EpochMetrics
from ham.training.loop import Training
from ham.training.results import RunResult
from ham.training.run import train

__all__ = ["EpochMetrics", "RunResult", "Training", "train"]
