"""Datasets with fixed splits, and batches of them."""

from ham.data.loaders import batches_of
from ham.data.splits import Splits

__all__ = ["Splits", "batches_of"]
