"""Datasets with fixed splits, and their batches."""

from ham.data.loaders import WHOLE, Batches, Part, batches_of
from ham.data.splits import Splits

__all__ = ["WHOLE", "Batches", "Part", "Splits", "batches_of"]
