"""The paper's theory in closed form: HAM's flow, its mirror map, and its limit in regression.

The tests compare the optimizer with these functions.
"""

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
