"""Closed forms of HAM's geometry: what the optimizer's limit is measured against."""

from ham.theory.flow import follow_flow
from ham.theory.mirror_map import mirror_derivative, mirror_inverse, mirror_potential
from ham.theory.regression import mirror_interpolator

__all__ = [
    "follow_flow",
    "mirror_derivative",
    "mirror_interpolator",
    "mirror_inverse",
    "mirror_potential",
]
