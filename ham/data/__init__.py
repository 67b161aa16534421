"""Datasets with fixed splits, and batches of them."""

from ham.data.loaders import Batches, batches_of
from ham.data.splits import Splits

__all__ = ["Batches", "Splits", "batches_of"]
