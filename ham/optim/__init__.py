"""HAM, SAM and what a training needs around them: factory, learning-rate schedules."""

from ham.optim.hyperbolic import HAM
from ham.optim.sam import SAM

__all__ = ["HAM", "SAM"]
