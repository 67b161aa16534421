"""Reproducible training of one :class:`~ham.config.RunConfig`, from start to end."""

from ham.training.loop import Training
from ham.training.results import EpochReport, RunResult
from ham.training.run import train

__all__ = ["EpochReport", "RunResult", "Training", "train"]
