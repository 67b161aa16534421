"""HAM, SAM and what a training needs around them: factory, learning-rate schedules."""

from ham.optim.hyperbolic import HAM

__all__ = ["HAM"]
