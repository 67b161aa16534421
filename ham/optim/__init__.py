"""The optimizers HAM and SAM, and the schedules and the factory of a training.

- ``hyperbolic``: HAM, the optimizer for users.
- ``formula``: the equation of the HAM step, the reference of every fast path.
- ``kernels``: the fast paths of the HAM step.
- ``param_groups``: HAM's entries in a parameter group, and their rules.
- ``nonfinite``: the treatment of gradients that hold NaN or infinity.
- ``sam``: SAM, the outermost wrapper.
- ``wrapper``: the base class of HAM and SAM.
- ``ham_schedules``, ``lr_schedules``: alpha, beta and the learning rate over the steps.
- ``factory``: HAM around a base optimizer, from the base's name, a recipe and a configuration.
"""

from ham.optim.hyperbolic import HAM
from ham.optim.sam import SAM

__all__ = ["HAM", "SAM"]
